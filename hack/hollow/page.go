package main

import "portreeve.io/portreeve/hack/docs/part"

// scale is the part of the page that the bench of 5,000 agents writes.
var scale = part.Part{Name: "hollow", Command: "make bench-scale"}
