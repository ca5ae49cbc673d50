// Package fault makes the calls of a fake API fail on demand, so that tests show
// what a program does about it.
//
//	cluster := fake.New(objects...)
//	cluster.Inject(fault.First(2, "update", "secrets", fault.Conflict))
//	cluster.Inject(fault.Nth(1, "create", "serviceaccounts/token", fault.AnswerLost))
//	…
//	unfired := cluster.Unfired() // want none
//
// # Concepts
//
// [On], [Nth], [First], [StaleReads] and [If] choose calls by verb, resource and
// number, [Fault.Of] by object. Verbs and resources are those of a request to an
// API server: "watch", "deletecollection"; "pods/status", "serviceaccounts/token",
// "tokenreviews". What is no resource has its path: "/openid/v1/jwks".
//
// A call fails with any error. [Conflict], [NotFound] and [Timeout] become the
// Status that an API server would send; [AnswerLost] and [After] let the call happen
// first; [Slow], [Stale] and [DropWatch] don't fail it, but change what it does.
//
// # Failure
//
// A fault that can never fire makes a test pass that tests nothing. So the
// constructors panic for a call that the API doesn't have, a misspelt verb, an error
// that is nil or has no effect on the call. Whether a fault did fire is known
// afterwards: ask Unfired at the end of a test.
package fault
