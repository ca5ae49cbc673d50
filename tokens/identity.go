package tokens

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubesa/serviceaccount/internal/jose"
	"github.com/kubesa/serviceaccount/internal/logvalue"
	"github.com/kubesa/serviceaccount/internal/strictjson"
	"github.com/kubesa/serviceaccount/tokens/internal/payload"
	"github.com/kubesa/serviceaccount/tokens/userinfo"
)

// An ObjectRef names an object that a token is about or bound to. The zero
// value means that there is none.
type ObjectRef struct {
	Name string
	UID  types.UID
}

// An Identity is the ServiceAccount that presented a token, and the claims of the
// token. It belongs to the caller: its methods are safe for concurrent use while nobody
// changes it.
type Identity struct {
	Namespace, Name string
	UID             types.UID

	// Audiences are those asked for that the token is made for, in the order of
	// the question; never empty.
	Audiences []string
	Issuer    string // "iss"
	Legacy    bool   // a Secret-based token, which has no expiry
	Cluster   string // see [ClusterClaim]

	// CredentialID is "JTI=" and the id of the token, empty if it has none.
	// Two texts can be the same token; they have the same CredentialID.
	CredentialID string

	// The objects that the token is bound to. Of a legacy token, Secret has
	// only the name. A Node beside a Pod is where the pod ran when the token
	// was issued; it was not looked up.
	Pod, Secret, Node                  ObjectRef
	ValidatingWebhook, MutatingWebhook ObjectRef
	Object                             BoundObject // of a further kind
	IssuedAt, NotBefore, Expiry        time.Time   // zero if absent
	WarnAfter                          time.Time   // zero if absent
	attestedGroups                     []string
	payload                            string              // as it stands in the token
	more                               map[string][]string // extra of ExtraClaims and ClusterClaim.Extra
}

// newIdentity returns the identity that c, the claims of token, stands for.
func newIdentity(c *payload.Claims, audiences []string, token string) *Identity {
	return &Identity{
		Namespace:         c.Namespace,
		Name:              c.Account.Name,
		UID:               c.Account.UID,
		Audiences:         audiences,
		Issuer:            c.Issuer,
		Legacy:            c.Legacy,
		Cluster:           c.Cluster,
		CredentialID:      c.CredentialID,
		Pod:               ObjectRef(c.Pod),
		Secret:            ObjectRef(c.Secret),
		Node:              ObjectRef(c.Node),
		ValidatingWebhook: ObjectRef(c.Validating),
		MutatingWebhook:   ObjectRef(c.Mutating),
		Object:            BoundObject(c.Object),
		IssuedAt:          payload.Time(c.IssuedAt),
		NotBefore:         payload.Time(c.NotBefore),
		Expiry:            payload.Time(c.Expiry),
		WarnAfter:         payload.Time(c.WarnAfter),
		attestedGroups:    c.Attestations[AttestedAPIGroups],
		payload:           jose.PayloadPart(token),
	}
}

// Username returns system:serviceaccount:<namespace>:<name>.
func (id *Identity) Username() string { return userinfo.Username(id.Namespace, id.Name) }

// UserInfo returns the identity as a Kubernetes user.
// Groups have neither system:authenticated nor what else a chain of
// authenticators adds.
func (id *Identity) UserInfo() authenticationv1.UserInfo {
	return authenticationv1.UserInfo{
		Username: id.Username(),
		UID:      string(id.UID),
		Groups:   userinfo.Groups(id.Namespace),
		Extra:    id.extra(),
	}
}

// extra returns nil if there is nothing to tell (TOK-81, TOK-82).
func (id *Identity) extra() map[string]authenticationv1.ExtraValue {
	extra := map[string]authenticationv1.ExtraValue{}
	for key, values := range id.more {
		extra[key] = slices.Clone(values)
	}
	if !id.Legacy {
		id.addBound(extra)
	}
	if len(extra) == 0 {
		return nil
	}
	return extra
}

// addBound adds what Kubernetes reports of a bound token.
func (id *Identity) addBound(extra map[string]authenticationv1.ExtraValue) {
	addPair := func(nameKey, uidKey string, ref ObjectRef) {
		if ref.Name != "" && ref.UID != "" {
			extra[nameKey] = authenticationv1.ExtraValue{ref.Name}
			extra[uidKey] = authenticationv1.ExtraValue{string(ref.UID)}
		}
	}
	addPair(userinfo.ExtraPodName, userinfo.ExtraPodUID, id.Pod)
	addPair(userinfo.ExtraNodeName, userinfo.ExtraNodeUID, id.Node)
	if id.Node.Name != "" {
		extra[userinfo.ExtraNodeName] = authenticationv1.ExtraValue{id.Node.Name}
	}
	addPair(userinfo.ExtraValidatingWebhookName, userinfo.ExtraValidatingWebhookUID, id.ValidatingWebhook)
	addPair(userinfo.ExtraMutatingWebhookName, userinfo.ExtraMutatingWebhookUID, id.MutatingWebhook)
	if id.CredentialID != "" {
		extra[userinfo.ExtraCredentialID] = authenticationv1.ExtraValue{id.CredentialID}
	}
	// Only what was checked along with a webhook configuration is attested.
	if webhook := id.ValidatingWebhook.Name != "" || id.MutatingWebhook.Name != ""; webhook && len(id.attestedGroups) > 0 {
		extra[userinfo.ExtraAdmissionReviewGroups] = slices.Clone(id.attestedGroups)
	}
}

// ClaimOf returns the claim called name of the token of id, decoded as a T, for
// example one that a [ClaimsExtender] has added. It reports false if the token
// has no such claim, and an error, which holds nothing of the claim, if that is
// not a T.
func ClaimOf[T any](id *Identity, name string) (value T, ok bool, err error) {
	for member, text := range strictjson.Members(jose.DecodePart(id.payload)) {
		if member != name {
			continue
		}
		if json.Unmarshal([]byte(text), &value) != nil {
			var zero T
			return zero, true, fmt.Errorf("tokens: claim %q is not a %T", name, zero)
		}
		return value, true, nil
	}
	return value, false, nil
}

// String returns the username.
func (id Identity) String() string { return id.Username() }

// LogValue returns who id is, and by which token, for log/slog.
func (id *Identity) LogValue() slog.Value {
	if id == nil {
		return slog.AnyValue(nil)
	}
	return logvalue.Of(struct {
		User                                                  string
		UID                                                   types.UID
		CredentialID, Issuer, Cluster                         string
		Audiences                                             []string
		Pod, Secret, Node, ValidatingWebhook, MutatingWebhook string
		Expiry                                                time.Time
	}{
		id.Username(), id.UID, id.CredentialID, id.Issuer, id.Cluster, id.Audiences,
		id.Pod.Name, id.Secret.Name, id.Node.Name, id.ValidatingWebhook.Name, id.MutatingWebhook.Name, id.Expiry,
	})
}
