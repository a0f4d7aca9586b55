package main

import "portreeve.io/portreeve/hack/docs/part"

// tablePart is the part of docs/benchmarks.md that this program writes.
var tablePart = part.Part{Name: "hollow", Command: "make bench-scale"}
