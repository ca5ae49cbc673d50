package tokens_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	authenticationv1 "k8s.io/api/authentication/v1"

	"github.com/kubesa/serviceaccount/tokens"
	"github.com/kubesa/serviceaccount/tokens/userinfo"
)

// goodUser returns what an API server reports of a pod's token.
func goodUser() authenticationv1.UserInfo {
	return authenticationv1.UserInfo{
		Username: "system:serviceaccount:ci:builder",
		UID:      "1",
		Groups:   []string{"system:serviceaccounts", "system:serviceaccounts:ci", "system:authenticated"},
		Extra: map[string]authenticationv1.ExtraValue{
			userinfo.ExtraCredentialID: {"JTI=7"},
			userinfo.ExtraPodName:      {"job"}, userinfo.ExtraPodUID: {"2"},
			userinfo.ExtraNodeName: {"worker"}, userinfo.ExtraNodeUID: {"3"},
		},
	}
}

// TRC-36, TRC-37, TRC-38, TRC-39, TRC-40
func TestIdentityOf(t *testing.T) {
	long := make([]byte, 254)
	for i := range long {
		long[i] = 'a'
	}
	for _, tt := range []struct {
		name    string
		mutate  func(*authenticationv1.UserInfo)
		foreign bool
		subject string
	}{
		{name: "good"},
		{name: "no extra", mutate: func(u *authenticationv1.UserInfo) { u.Extra = nil }},
		{name: "a node without UID", mutate: func(u *authenticationv1.UserInfo) { delete(u.Extra, userinfo.ExtraNodeUID) }},
		{name: "a credential id of another kind", mutate: func(u *authenticationv1.UserInfo) { u.Extra[userinfo.ExtraCredentialID][0] = "other" }},
		{name: "a validating webhook", mutate: func(u *authenticationv1.UserInfo) {
			u.Extra[userinfo.ExtraValidatingWebhookName], u.Extra[userinfo.ExtraValidatingWebhookUID] = authenticationv1.ExtraValue{"checks"}, authenticationv1.ExtraValue{"4"}
			u.Extra[userinfo.ExtraAdmissionReviewGroups] = authenticationv1.ExtraValue{"apps"}
		}},
		{name: "a mutating webhook without groups", mutate: func(u *authenticationv1.UserInfo) {
			u.Extra[userinfo.ExtraMutatingWebhookName], u.Extra[userinfo.ExtraMutatingWebhookUID] = authenticationv1.ExtraValue{"defaults"}, authenticationv1.ExtraValue{"5"}
		}},
		{name: "a person", mutate: func(u *authenticationv1.UserInfo) { u.Username = "jane" }, foreign: true},
		{name: "a node", mutate: func(u *authenticationv1.UserInfo) { u.Username = "system:node:worker" }, foreign: true},
		{name: "nobody", mutate: func(u *authenticationv1.UserInfo) { u.Username = "" }, foreign: true},
		{name: "three parts", mutate: func(u *authenticationv1.UserInfo) { u.Username = "system:serviceaccount:ci" }, foreign: true},
		{name: "five parts", mutate: func(u *authenticationv1.UserInfo) { u.Username += ":x" }, foreign: true},
		{name: "a namespace with a dot", mutate: func(u *authenticationv1.UserInfo) { u.Username = "system:serviceaccount:c.i:builder" }, foreign: true},
		{name: "a path as name", mutate: func(u *authenticationv1.UserInfo) { u.Username = "system:serviceaccount:ci:../x" }, foreign: true},
		{name: "a name of 254 bytes", mutate: func(u *authenticationv1.UserInfo) { u.Username = "system:serviceaccount:ci:" + string(long) }, foreign: true},
		{name: "a certificate", mutate: func(u *authenticationv1.UserInfo) { u.Extra[userinfo.ExtraCredentialID][0] = "X509SHA256=00" }, foreign: true},
		{name: "no groups", mutate: func(u *authenticationv1.UserInfo) { u.Groups = nil }, subject: "groups"},
		{name: "without the group of all", mutate: func(u *authenticationv1.UserInfo) { u.Groups = u.Groups[1:] }, subject: "groups"},
		{name: "the group of another namespace", mutate: func(u *authenticationv1.UserInfo) { u.Groups[1] += "x" }, subject: "groups"},
		{name: "no UID", mutate: func(u *authenticationv1.UserInfo) { u.UID = "" }, subject: "uid"},
		{name: "two credential ids", mutate: func(u *authenticationv1.UserInfo) {
			u.Extra[userinfo.ExtraCredentialID] = authenticationv1.ExtraValue{"JTI=7", "JTI=8"}
		}, subject: userinfo.ExtraCredentialID},
		{name: "an empty list", mutate: func(u *authenticationv1.UserInfo) { u.Extra[userinfo.ExtraPodUID] = nil }, subject: userinfo.ExtraPodUID},
		{name: "an empty credential id", mutate: func(u *authenticationv1.UserInfo) { u.Extra[userinfo.ExtraCredentialID][0] = "" }, subject: userinfo.ExtraCredentialID},
		{name: "an empty value", mutate: func(u *authenticationv1.UserInfo) { u.Extra[userinfo.ExtraPodName][0] = "" }, subject: userinfo.ExtraPodName},
		{name: "a pod without UID", mutate: func(u *authenticationv1.UserInfo) { delete(u.Extra, userinfo.ExtraPodUID) }, subject: userinfo.ExtraPodName},
		{name: "a UID without pod", mutate: func(u *authenticationv1.UserInfo) { delete(u.Extra, userinfo.ExtraPodName) }, subject: userinfo.ExtraPodName},
		{name: "a UID without node", mutate: func(u *authenticationv1.UserInfo) { delete(u.Extra, userinfo.ExtraNodeName) }, subject: userinfo.ExtraNodeName},
		{name: "a webhook without UID", mutate: func(u *authenticationv1.UserInfo) {
			u.Extra[userinfo.ExtraValidatingWebhookName] = authenticationv1.ExtraValue{"checks"}
		}, subject: userinfo.ExtraValidatingWebhookName},
		{name: "a UID without webhook", mutate: func(u *authenticationv1.UserInfo) {
			u.Extra[userinfo.ExtraMutatingWebhookUID] = authenticationv1.ExtraValue{"4"}
		}, subject: userinfo.ExtraMutatingWebhookName},
	} {
		t.Run(tt.name, func(t *testing.T) {
			user := goodUser()
			if tt.mutate != nil {
				tt.mutate(&user)
			}
			id, err := tokens.IdentityOf(user)
			invalid, _ := errors.AsType[*tokens.InvalidError](err)
			switch {
			case tt.foreign:
				if e, ok := errors.AsType[*tokens.NotRecognizedError](err); !ok || e.Reason != tokens.ReasonForeignUser {
					t.Errorf("IdentityOf() = %v, %v, want a NotRecognizedError with ForeignUser", id, err)
				}
			case tt.subject != "":
				if invalid == nil || *invalid != (tokens.InvalidError{Reason: tokens.ReasonInvalidUser, Subject: tt.subject}) {
					t.Errorf("IdentityOf() = %v, %v, want an InvalidError on %s", id, err, tt.subject)
				}
			case err != nil:
				t.Errorf("IdentityOf() = %v, want no error", err)
			default:
				want := user
				want.Groups = want.Groups[:2]
				if diff := cmp.Diff(want, id.UserInfo(), cmpopts.EquateEmpty()); diff != "" {
					t.Errorf("UserInfo() of IdentityOf() differs (-want +got):\n%s", diff)
				}
			}
		})
	}
}

// Tell ServiceAccounts from other users in an admission request.
func ExampleIdentityOf() {
	id, err := tokens.IdentityOf(authenticationv1.UserInfo{
		Username: "system:serviceaccount:ci:builder",
		UID:      "f3e9f0a2",
		Groups:   []string{"system:serviceaccounts", "system:serviceaccounts:ci", "system:authenticated"},
		Extra:    map[string]authenticationv1.ExtraValue{userinfo.ExtraPodName: {"job"}, userinfo.ExtraPodUID: {"77"}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(id.Namespace, id.Name, id.Pod.Name)

	_, err = tokens.IdentityOf(authenticationv1.UserInfo{Username: "jane@example.org"})
	fmt.Println(errors.Is(err, tokens.ErrNotRecognized))

	// Output:
	// ci builder job
	// true
}
