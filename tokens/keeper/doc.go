// Package keeper keeps tokens fresh where others read them: in Secrets, with a
// [Secrets] controller, and in folders, with a [Folder]. A virtual kubelet writes the
// projected volumes of its pods with [Payload] and [WriteVolume].
//
//	keeper, err := keeper.NewSecrets(keeper.SecretsConfig{
//		Reader: clients, Client: clients,
//		Want: func(secret *corev1.Secret) (*keeper.Want, error) { … }, // by its labels, say
//		Mint: func(ctx context.Context, want keeper.Want) (*tokens.Token, error) { … },
//	})
//	…
//	manager.Run(ctx, …, keeper)
//
// The accounts may be in another cluster than the Secrets: Mint decides where it asks.
//
// # Renewal
//
// A token is renewed after 80 % of its lifetime or 24 hours, whichever comes first, less
// a tenth at most, as the kubelet does, and at least a minute before it expires. If that
// fails, the old token stays, and the renewal is retried. Each renewal is one write.
//
// # Failure
//
// A keeper overwrites only what it has written itself: a Secret that another one has
// written to, or a file that is in the way, is an error until somebody removes it.
// Files appear all at once, or not at all: a reader never sees a new token beside an old
// CA bundle.
//
// # Security
//
// No error and no [Event] holds a token. Token Secrets, of type
// kubernetes.io/service-account-token, belong to the token controller, and are never
// written. Their tokens don't expire; these do.
package keeper
