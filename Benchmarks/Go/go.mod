module benchmarks

go 1.25
