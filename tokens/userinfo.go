package tokens

import (
	"slices"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubesa/serviceaccount/tokens/userinfo"
)

// The Subjects of an [InvalidError] with [ReasonInvalidUser].
const (
	userGroups = "groups"
	userUID    = "uid"
)

// certificatePrefix begins the credential ID of an X.509 certificate.
const certificatePrefix = "X509SHA256="

// IdentityOf is the reverse of [Identity.UserInfo]: it returns the ServiceAccount
// that user is, for a program that learns of users from an API server, as
// TokenReview clients, admission webhooks and audit sinks do. A user info doesn't
// have the audiences, the issuer, the times and the claims of the token, nor the
// Secret that it may be bound to, so the Identity lacks them too. Its Cluster is what
// [userinfo.ExtraClusterName] says.
//
// A user with another kind of name, or with the credentials of an X.509
// certificate, gives an error that wraps [ErrNotRecognized]. An [*InvalidError] with
// [ReasonInvalidUser] means that the name is that of a ServiceAccount, but no API
// server has authenticated it as one: Subject says whether the groups, the UID or
// one of the keys of extra are wrong.
func IdentityOf(user authenticationv1.UserInfo) (*Identity, error) {
	namespace, name, err := userinfo.SplitUsername(user.Username)
	if err != nil {
		return nil, &NotRecognizedError{Reason: ReasonForeignUser}
	}
	id := &Identity{Namespace: namespace, Name: name, UID: types.UID(user.UID)}
	for _, group := range userinfo.Groups(namespace) {
		if !slices.Contains(user.Groups, group) {
			return nil, invalidUser(userGroups) // TRC-37
		}
	}
	if id.UID == "" {
		return nil, invalidUser(userUID) // TRC-38
	}
	if key := id.setExtra(user.Extra); key != "" {
		return nil, invalidUser(key)
	}
	if strings.HasPrefix(id.CredentialID, certificatePrefix) {
		return nil, &NotRecognizedError{Reason: ReasonForeignUser} // TRC-40
	}
	return id, nil
}

func invalidUser(subject string) *InvalidError { return &InvalidError{ReasonInvalidUser, subject} }

// setExtra sets what extra says of the token, or returns the key that is invalid:
// each has one value, and the objects have both name and UID, but for nodes
// (TRC-39, TRC-40).
func (id *Identity) setExtra(extra map[string]authenticationv1.ExtraValue) (invalidKey string) {
	for _, f := range []struct {
		key   string
		value *string
	}{
		{userinfo.ExtraCredentialID, &id.CredentialID}, {userinfo.ExtraClusterName, &id.Cluster},
		{userinfo.ExtraPodName, &id.Pod.Name}, {userinfo.ExtraPodUID, (*string)(&id.Pod.UID)},
		{userinfo.ExtraNodeName, &id.Node.Name}, {userinfo.ExtraNodeUID, (*string)(&id.Node.UID)},
		{userinfo.ExtraValidatingWebhookName, &id.ValidatingWebhook.Name}, {userinfo.ExtraValidatingWebhookUID, (*string)(&id.ValidatingWebhook.UID)},
		{userinfo.ExtraMutatingWebhookName, &id.MutatingWebhook.Name}, {userinfo.ExtraMutatingWebhookUID, (*string)(&id.MutatingWebhook.UID)},
	} {
		values, ok := extra[f.key]
		switch {
		case !ok:
		case len(values) != 1 || values[0] == "":
			return f.key
		default:
			*f.value = values[0]
		}
	}
	if id.Cluster != "" {
		id.addMore(userinfo.ExtraClusterName, []string{id.Cluster})
	}
	id.attestedGroups = slices.Clone([]string(extra[userinfo.ExtraAdmissionReviewGroups]))
	switch {
	case (id.Pod.Name == "") != (id.Pod.UID == ""):
		return userinfo.ExtraPodName
	case id.Node.Name == "" && id.Node.UID != "":
		return userinfo.ExtraNodeName
	case (id.ValidatingWebhook.Name == "") != (id.ValidatingWebhook.UID == ""):
		return userinfo.ExtraValidatingWebhookName
	case (id.MutatingWebhook.Name == "") != (id.MutatingWebhook.UID == ""):
		return userinfo.ExtraMutatingWebhookName
	}
	return ""
}
