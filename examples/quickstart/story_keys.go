package main

import (
	"context"
	"fmt"
	"os"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubesa/serviceaccount/keys"
	"github.com/kubesa/serviceaccount/tokens/tokenissuer"
)

// keysDidIt shows which key file did what: the private one is deleted, and what it
// signed is still verified by the public one.
func (s *story) keysDidIt(ctx context.Context) error {
	s.step("The private key file signed all of these tokens, and only the public key file verified them.")
	account, err := s.cluster.GetServiceAccount(ctx, namespace, "default")
	if err != nil {
		return err
	}
	signer, _, err := s.files.load()
	if err != nil {
		return err
	}
	token, err := issueWith(ctx, signer, account)
	if err != nil {
		return err
	}
	if err := os.Remove(s.files.private); err != nil {
		return err
	}
	set, err := s.files.loadPublic()
	if err != nil {
		return err
	}
	verifying, err := set.PublicKeys(ctx, "")
	if err != nil {
		return err
	}
	s.text(fmt.Sprintf("sa.key  signs     %s, key id %s (deleted after signing)\nsa.pub  verifies  %s, key id %s\n",
		signer.PublicKey().Algorithm, signer.PublicKey().ID, verifying[0].Algorithm, verifying[0].ID))
	if s.authenticator, err = newAuthenticator(s.cluster, set); err != nil {
		return err
	}
	if err := s.showAuthentication(ctx, "the account default, signed with sa.key", token); err != nil {
		return err
	}
	return s.strangerIsRejected(ctx, account)
}

// strangerIsRejected shows that a well-formed token signed with another key is rejected.
func (s *story) strangerIsRejected(ctx context.Context, account *corev1.ServiceAccount) error {
	key, err := keys.Generate(keys.RS256)
	if err != nil {
		return err
	}
	signer, err := keys.NewSigner(key)
	if err != nil {
		return err
	}
	token, err := issueWith(ctx, signer, account)
	if err != nil {
		return err
	}
	return s.showRejection(ctx, "the same account, signed with another key", token)
}

// issueWith returns a token for account that signer signed.
func issueWith(ctx context.Context, signer keys.Signer, account *corev1.ServiceAccount) (string, error) {
	issuer, err := tokenissuer.New(tokenissuer.Config{Issuer: clusterIssuer, Signer: signer})
	if err != nil {
		return "", err
	}
	token, err := issuer.Issue(ctx, tokenissuer.Request{ServiceAccount: account, Audiences: []string{clusterIssuer}})
	if err != nil {
		return "", err
	}
	return token.Value, nil
}
