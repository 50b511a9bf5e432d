"""What an ELF file says of a firmware."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from millijoule.errors import ToolError

SHF_WRITE, SHF_ALLOC = 1, 2


@dataclass(frozen=True)
class Segment:
    """Bytes to load at a physical address."""

    address: int
    data: bytes


@dataclass(frozen=True)
class Symbol:
    """A name's address and size in bytes; the Thumb bit of functions is cleared."""

    address: int
    bytes: int
    is_function: bool


@dataclass(frozen=True)
class Elf:
    """sections: name → bytes, of those that take memory. symbols: by name."""

    path: Path
    segments: tuple[Segment, ...]
    sections: dict[str, int]
    symbols: dict[str, Symbol]

    @classmethod
    def read(cls, path: Path) -> Elf:
        """Raises ToolError if `path` is no ELF file with symbols."""
        from elftools.common.exceptions import ELFError
        from elftools.elf.elffile import ELFFile
        from elftools.elf.sections import SymbolTableSection

        try:
            with path.open("rb") as file:
                elf = ELFFile(file)
                table = elf.get_section_by_name(".symtab")
                if not isinstance(table, SymbolTableSection):
                    raise ToolError(f"{path}: no symbols in this ELF file; do not strip it")
                return cls(
                    path,
                    tuple(
                        Segment(segment["p_paddr"], segment.data())
                        for segment in elf.iter_segments("PT_LOAD")
                        if segment["p_filesz"]
                    ),
                    {
                        section.name: section["sh_size"]
                        for section in elf.iter_sections()
                        if section["sh_flags"] & SHF_ALLOC and section["sh_size"]
                    },
                    {
                        # `$t`, `$d` …: the Arm ABI's mapping symbols, which name nothing.
                        entry.name: _symbol(entry["st_value"], entry["st_size"], entry["st_info"]["type"])
                        for entry in table.iter_symbols()
                        if entry.name and not entry.name.startswith("$")
                    },
                )
        except (OSError, ELFError) as error:
            raise ToolError(f"{path}: not a readable ELF file: {error}") from None

    def address(self, name: str) -> int:
        """The address of a symbol. Raises ToolError if there is none of this name."""
        return self.symbol(name).address

    def symbol(self, name: str) -> Symbol:
        """Raises ToolError if there is none of this name."""
        if name not in self.symbols:
            raise ToolError(f"{self.path}: no symbol '{name}'; was this firmware built from an emitted project?")
        return self.symbols[name]

    def function_at(self, address: int) -> str:
        """The function that holds the instruction at `address`; empty if none does."""
        index = bisect_right(self._functions, (address, "\uffff")) - 1
        if index < 0:
            return ""
        start, name = self._functions[index]
        return name if address < start + max(self.symbols[name].bytes, 2) else ""

    @cached_property
    def _functions(self) -> list[tuple[int, str]]:
        return sorted((symbol.address, name) for name, symbol in self.symbols.items() if symbol.is_function)


def _symbol(value: int, size: int, kind: str) -> Symbol:
    is_function = kind == "STT_FUNC"
    return Symbol(value & ~1 if is_function else value, size, is_function)
