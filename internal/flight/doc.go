// Package flight calls code that may panic or never return, and shares one call
// among all who need its answer.
//
// [Catch] turns a panic into a [*PanicError]. A [Guard] also bounds the calls
// that hang: [Do] returns when its context is done, and fails at once while the
// Guard's limit of calls hang. A [Group] makes one call at a time for each key;
// each caller waits for it as long as its own context allows. The two compose:
// the function of a Group calls foreign code through a Guard.
//
//	object, err := getters.Do(ctx, key, func(ctx context.Context) (*Object, error) {
//		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
//		defer cancel()
//		return flight.Do(ctx, guard, lookup)
//	})
//
// # Security
//
// The value of a panic may hold a secret, such as a token or the private key that
// the code was working on. No text of this package has it; [PanicOf] returns it,
// with the stack, for an Observe hook.
package flight
