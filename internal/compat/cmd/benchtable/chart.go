package main

import (
	"fmt"
	"html"
	"slices"
	"strings"
)

// The measures of the chart, in pixels.
const (
	chartWidth = 860
	labelWidth = 380
	barWidth   = 400 // of a ratio of 1
	lineHeight = 24
	chartTop   = 46
)

// chart draws the ratios as bars, shorter is faster, with a mark at each goal.
// Its colours are readable on white and on black.
func chart(all []result) string {
	all = slices.DeleteFunc(slices.Clone(all), func(r result) bool { return r.goal.alone })
	height := chartTop + lineHeight*len(all) + 16
	x := func(ratio float64) float64 { return labelWidth + barWidth*min(ratio, 1.1) }
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-label="time of this library as a part of the time of Kubernetes">
`, chartWidth, height, chartWidth, height)
	b.WriteString(`<style>
text { font: 13px sans-serif; fill: #1f2328 }
.axis { stroke: #8c959f }
.bar { fill: #2f81f7 }
.missed { fill: #d4740c }
.goal { stroke: #1f2328; stroke-width: 2 }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .goal { stroke: #e6edf3 } }
</style>
`)
	fmt.Fprintf(&b, `<text x="%d" y="16">Kubernetes = 1; shorter is better; a line marks the goal, orange misses it</text>
`, labelWidth)
	for _, ratio := range []float64{0, 0.25, 0.5, 0.75, 1} {
		fmt.Fprintf(&b, `<line class="axis" x1="%[1]g" y1="%[2]d" x2="%[1]g" y2="%[3]d"/><text x="%[1]g" y="%[4]d" text-anchor="middle">%[5]g</text>
`, x(ratio), chartTop-4, height-12, chartTop-10, ratio)
	}
	for i, res := range all {
		y, class := chartTop+lineHeight*i, "bar"
		if res.missed() {
			class = "missed"
		}
		fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%s</text><rect class="%s" x="%d" y="%d" width="%.1f" height="14"/><text x="%.1f" y="%d">%.2f</text>
`, labelWidth-8, y+16, html.EscapeString(res.operation), class, labelWidth, y+4, max(x(res.ratio())-labelWidth, 1), x(max(res.ratio(), res.goal.ratio))+6, y+16, res.ratio())
		if g := res.goal.ratio; g > 0 {
			fmt.Fprintf(&b, `<line class="goal" x1="%[1]g" y1="%[2]d" x2="%[1]g" y2="%[3]d"/>
`, x(g), y+1, y+21)
		}
	}
	b.WriteString("</svg>\n")
	return b.String()
}
