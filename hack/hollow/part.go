package main

import "portreeve.io/portreeve/hack/docs/part"

// tablePart is the part of the page that the bench of 5,000 agents writes.
var tablePart = part.Part{Name: "hollow", Command: "make bench-scale"}
