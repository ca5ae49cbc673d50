// Package tokensource is the client's side of tokens: it keeps a token fresh,
// sends it with requests, and waits for the token of a Secret.
package tokensource
