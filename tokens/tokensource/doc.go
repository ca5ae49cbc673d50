// Package tokensource is the client's side of tokens: a [Source] keeps a token
// fresh, a [Transport] sends it with requests, and [WaitPopulated] waits for the
// token of a Secret.
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
// While Mint fails, the old token is served until it expires, and Mint is called
// again after a second, later after up to a minute. A Mint that hangs or panics is
// an error.
//
// # Security
//
// A Source prints without its token. A Transport sends it over https only, and not
// along with a redirect to another host.
package tokensource
