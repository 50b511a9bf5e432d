import pytest

from millijoule.report import format as fmt


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (fmt.count(0), "0"),
        (fmt.count(1234567), "1,234,567"),
        (fmt.count(None), "-"),
        (fmt.percent(0.98611), "98.61 %"),
        (fmt.percent(1.0), "100.00 %"),
        (fmt.percent(0.99999), "> 99.99 %"),
        (fmt.percent(0.00001), "< 0.01 %"),
        (fmt.percent(0.0), "0.00 %"),
        (fmt.percent(0.5, 1), "50.0 %"),
        (fmt.percent(None), "-"),
        (fmt.share(1, 3), "33.3 %"),
        (fmt.share(0, 3), ""),
        (fmt.share(None, 3), ""),
        (fmt.share(3, 3), "100.0 %"),
        (fmt.share(1, 10**6), "< 0.1 %"),
        (fmt.ratio(30, 12), "2.50"),
        (fmt.ratio(30, 0), ""),
        (fmt.ratio(None, 3), ""),
        (fmt.shape((32, 32, 3)), "32x32x3"),
        (fmt.compact(987), "987"),
        (fmt.compact(1000), "1.00 k"),
        (fmt.compact(9_994), "9.99 k"),
        (fmt.compact(9_996), "10.0 k"),
        (fmt.compact(99_960), "100 k"),
        (fmt.compact(999_400), "999 k"),
        (fmt.compact(999_500), "1.00 M"),
        (fmt.compact(2_359_296), "2.36 M"),
        (fmt.compact(11_513_363_968), "11.5 G"),
        (fmt.clock(180_000_000), "180 MHz"),
        (fmt.clock(26_500_000), "26.5 MHz"),
        (fmt.clock(None), "-"),
        (fmt.memory(131_072), "128 KiB"),
        (fmt.memory(2_097_152), "2,048 KiB"),
        (fmt.memory(1_500), "1.46484375 KiB"),
        (fmt.core("cortex-m0plus"), "Cortex-M0+"),
        (fmt.core("cortex-m33"), "Cortex-M33"),
        (fmt.core(""), "-"),
    ],
)
def test_numbers_for_people(made, expected):
    assert made == expected
