"""The networks of MLPerf Tiny, made for microcontrollers."""
