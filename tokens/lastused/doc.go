// Package lastused records the day on which the token of a Secret was last used, in
// a label of the Secret, for the cleaner of legacy tokens.
//
//	tracker, err := lastused.New(lastused.Config{Secrets: client})
//	…
//	go tracker.Run(ctx)
//	…
//	tokens.AuthenticatorConfig{Observe: tracker.Observe, …}
//
// A patch is sent at most once per Secret and day, after authentication, which it
// neither delays nor fails. A failed patch is reported to [Config.Observe] and
// retried with the first use a minute later.
package lastused
