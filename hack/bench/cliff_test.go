package main

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"portreeve.io/portreeve/internal/testutil/golden"
)

func exampleCliff() cliff {
	return cliff{28232, []cliffPoint{
		{percent: 0, took: ms(0.01, 0.02, 0.03), cpu: ms(0.01, 0.01, 0.01)},
		{percent: 49, took: ms(0.02, 0.02, 0.09), cpu: ms(0.01, 0.02, 0.03)},
		{percent: 50, took: ms(0.7, 0.8, 9), cpu: ms(0.7, 0.8, 0.9)},
		{percent: 100, took: ms(1, 1, 1), cpu: ms(1, 1, 1), refused: true},
	}}
}

func TestACliffHasATableAndAPicture(t *testing.T) {
	golden.Check(t, "testdata/cliff.md", exampleCliff().formatSection("images/cliff.svg"))
	golden.Check(t, "testdata/cliff.svg", exampleCliff().renderSVG())
}

func TestThePictureIsXML(t *testing.T) {
	d := xml.NewDecoder(strings.NewReader(exampleCliff().renderSVG()))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

func TestThePictureKeepsTimesInsideItsPlot(t *testing.T) {
	for name, c := range map[string]struct{ us, want float64 }{
		"the least": {10, plotTop + plotHeight}, "less than that": {1, plotTop + plotHeight},
		"the middle": {1000, plotTop + plotHeight/2},
		"the most":   {1e5, plotTop}, "more than that": {1e7, plotTop},
	} {
		if got := microsecondsToY(c.us); got != c.want {
			t.Errorf("%s: at %v, want %v", name, got, c.want)
		}
	}
}
