// Package tokenreview answers TokenReviews as kube-apiserver does, from Go and
// over HTTP.
package tokenreview
