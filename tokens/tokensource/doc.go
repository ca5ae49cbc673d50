// Package tokensource is the client's side of tokens: a [Source] keeps a token
// fresh, a [File] reads one that the kubelet keeps fresh, a [Transport] sends it with
// requests, and [WaitPopulated] waits for the token of a Secret.
//
//	source, err := tokensource.New(tokensource.Config{
//		Mint: func(ctx context.Context) (*tokens.Token, error) {
//			answer, err := serviceAccounts.CreateToken(ctx, "builder", request, metav1.CreateOptions{})
//			if err != nil {
//				return nil, err
//			}
//			return tokensource.TokenOf(answer)
//		},
//	})
//	client := &http.Client{Transport: &tokensource.Transport{Source: source}}
//
// # Failure
//
// While Mint fails, the old token is returned until it expires, and Mint is retried
// with a back-off of one second to one minute. A Mint that hangs or panics is an
// error.
//
// # Security
//
// A Source prints without its token. A Transport sends it over https only, and never
// to another host after a redirect.
package tokensource
