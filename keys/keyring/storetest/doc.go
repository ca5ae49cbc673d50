// Package storetest checks implementations of [keyring.Store].
//
//	storetest.Run(t, func(t *testing.T) func() keyring.Store {
//		server := newServer(t)
//		return func() keyring.Store { return NewStore(server) }
//	})
//
// Each promise of a Store is a subtest, and each failure says what a Store must do.
// [Faulty] makes a Store fail, for tests of what uses one.
package storetest
