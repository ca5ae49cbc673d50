// Package webhook is the HTTP side of webhooks: an [Endpoint] reads a request within
// its limits of size and time, and writes the answer.
//
// Whatever a client sends, it gets an answer: 405 for another method than POST, 415
// for another body than plain JSON, 413 for one that is too large, 408 for one that
// does not arrive in time, 400 for one that breaks off, and 500 if the code of the
// webhook panics. A review, in which the webhook says more, is 200.
//
// # Security
//
// Nothing of a request is in the text of an error. Memory is bounded by a small
// multiple of the limit of size, a body that trickles in and a client that does
// not read its answer by the limit of time.
package webhook
