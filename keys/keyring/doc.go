// Package keyring replaces the keys of an issuer without rejecting a valid token.
//
// A [Ring] is a [keys.Signer] and a [keys.Source]:
//
//	ring, err := keyring.Open(ctx, "/var/lib/issuer/keys", keyring.Config{})
//	…
//	id, err := ring.EnsureSigning(ctx, keys.ES256)
//
// # Concepts
//
// A key is added, which publishes it; promoted, so that it signs; and retired. Each
// step is denied with a [*StepError] while it could invalidate a token: a key must
// have been published for [Config].MaxAge before it signs, since verifiers cache the
// keys for that long, and it verifies for [Config].MaxTokenLifetime after it has
// ceased to sign. [Ring.Plan] returns the next steps with their times.
//
// A ring is in memory only ([New]); in a folder, which the processes of one file system share
// ([Open]); or in any other [Store] ([OpenStore]), such as a Kubernetes Secret
// (keys/keyring/secretstore), which replicas share. All of them take their steps on what the
// others have left, and notice those of the others within [Config].ReloadEvery.
//
// # Failure
//
// A ring keeps its last good keys while its store can't be read; [Ring.Err] says
// why. A process that is killed at any moment leaves a store that opens with the
// last step taken or not taken.
//
// # Security
//
// Rings print as the ids of their keys. Private keys are files that only their owner
// may read. [Ring.Revoke] removes a key that others may have.
package keyring
