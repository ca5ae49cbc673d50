// Package replacing does with this library what public projects do by hand: each
// function replaces the place that its comment names. README.md compares the lines.
package replacing
