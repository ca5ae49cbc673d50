// Package inspect looks into tokens. [Explain] tells an operator whom a token
// authenticates as, or why it is rejected and what helps:
//
//	fmt.Print(inspect.Explain(ctx, authenticator, token))
//
// [PeekUnverified] reads what a token says of itself, for clients that have one and
// want to know when it expires.
//
// # Security
//
// Neither result decides anything: [tokens.Authenticator.Authenticate] does. An
// Explanation has no signature, so it is no token, but it has names and UIDs: show it to
// operators and to the owner of the token only. What PeekUnverified returns, anybody can
// have written.
package inspect
