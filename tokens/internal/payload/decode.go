package payload

import (
	"iter"
	"strings"

	"k8s.io/apimachinery/pkg/types"

	"github.com/kubesa/serviceaccount/internal/strictjson"
)

// IssuerOf returns the issuer of a token with the payload object, empty if it has none. The
// object must have been checked.
func IssuerOf(object string) string {
	for name, value := range strictjson.Members(object) {
		if name == ClaimIssuer {
			issuer, _ := strictjson.Text(value)
			return issuer
		}
	}
	return ""
}

// Decode reads one claim but the issuer. The object that it is a member of must have been
// checked.
func (c *Claims) Decode(name, value string) *Fault {
	if c.Legacy {
		return c.decodeLegacy(name, value)
	}
	switch name {
	case ClaimPrivate:
		return c.decodePrivate(value)
	case legacyPrefix + c.cluster:
		if c.cluster != "" {
			return invalid(name)
		}
	case LegacyNamespace, LegacySecretName, LegacyAccountName, LegacyAccountUID:
		return invalid(name) // tokens are of one kind
	}
	if claim, ok := c.decodePublic(name, value); !ok {
		return invalid(claim)
	}
	return nil
}

// decodePublic reads one registered claim; others are left alone.
func (c *Claims) decodePublic(name, value string) (claim string, ok bool) {
	switch name {
	case ClaimSubject:
		c.Subject, ok = strictjson.Text(value)
		return ClaimSubject, ok
	case ClaimID:
		id, ok := strictjson.Text(value)
		c.SetID(id)
		return ClaimID, ok
	case ClaimAudience:
		c.Audiences, ok = decodeAudiences(value)
		return ClaimAudience, ok
	case ClaimExpiry:
		c.Expiry, ok = DecodeTime(value)
		return ClaimExpiry, ok
	case ClaimNotBefore:
		c.NotBefore, ok = DecodeTime(value)
		return ClaimNotBefore, ok
	case ClaimIssuedAt:
		c.IssuedAt, ok = DecodeTime(value)
		return ClaimIssuedAt, ok
	}
	return "", true
}

// decodePrivate reads the object under "kubernetes.io".
func (c *Claims) decodePrivate(object string) *Fault {
	c.private = true
	if object[0] != '{' {
		return invalid(ClaimPrivate)
	}
	for name, value := range strictjson.Members(object) {
		ok := true
		switch name {
		case ClaimNamespace:
			c.Namespace, ok = strictjson.Text(value)
		case ClaimAccount:
			c.Account, ok = decodeRef(value)
		case ClaimPod:
			c.Pod, ok = decodeRef(value)
		case ClaimSecret:
			c.Secret, ok = decodeRef(value)
		case ClaimNode:
			c.Node, ok = decodeRef(value)
		case ClaimValidating:
			c.Validating, ok = decodeRef(value)
		case ClaimMutating:
			c.Mutating, ok = decodeRef(value)
		case ClaimObject:
			c.Object, ok = decodeObject(value)
		case ClaimAttestation:
			c.Attestations, ok = decodeAttestations(value)
		case ClaimWarnAfter:
			c.WarnAfter, ok = DecodeTime(value)
		default:
			if c.cluster != "" && name == c.cluster {
				c.Cluster, ok = strictjson.Text(value)
			}
		}
		if !ok {
			return invalid(strings.Clone(name)) // which keeps nothing of the token
		}
	}
	return nil
}

// decodeLegacy is Decode for a Secret-based token (TOK-51, TOK-52).
func (c *Claims) decodeLegacy(name, value string) *Fault {
	var claim string
	var ok bool
	switch name {
	case ClaimPrivate:
		claim = ClaimPrivate // tokens are of one kind
	case LegacyNamespace:
		claim = "namespace"
		c.Namespace, ok = strictjson.Text(value)
	case LegacySecretName:
		claim = "secretName"
		c.Secret.Name, ok = strictjson.Text(value)
	case LegacyAccountName:
		claim = "serviceAccountName"
		c.Account.Name, ok = strictjson.Text(value)
	case LegacyAccountUID:
		claim = "serviceAccountUID"
		var uid string
		uid, ok = strictjson.Text(value)
		c.Account.UID = types.UID(uid)
	default:
		if suffix, found := strings.CutPrefix(name, legacyPrefix); found && c.cluster != "" && suffix == c.cluster {
			claim = suffix
			c.Cluster, ok = strictjson.Text(value)
			break
		}
		claim, ok = c.decodePublic(name, value)
	}
	if !ok {
		return invalid(claim)
	}
	return nil
}

// Others returns what a claim that [Claims.Decode] has read holds beside what Kubernetes
// has: strings, by the name of the member of ClaimPrivate, or of its equivalent in a
// Secret-based token.
func Others(legacy bool, name, value string) iter.Seq2[string, string] {
	return func(yield func(name, text string) bool) {
		if legacy {
			other, found := strings.CutPrefix(name, legacyPrefix)
			if text, ok := strictjson.Text(value); found && ok && !IsPrivate(other) {
				yield(strings.Clone(other), strings.Clone(text))
			}
			return
		}
		if name != ClaimPrivate {
			return
		}
		for member, value := range strictjson.Members(value) {
			if text, ok := strictjson.Text(value); ok && !IsPrivate(member) && !yield(strings.Clone(member), strings.Clone(text)) {
				return
			}
		}
	}
}

// decodeAudiences reads a string or an array of distinct strings (TOK-4).
func decodeAudiences(value string) (audiences []string, ok bool) {
	if value[0] != '[' {
		audience, ok := strictjson.Text(value)
		return []string{audience}, ok
	}
	for element := range strictjson.Elements(value) {
		audience, ok := strictjson.Text(element)
		if !ok || len(audiences) == MaxAudiences {
			return nil, false
		}
		for _, other := range audiences {
			if audience == other {
				return nil, false
			}
		}
		audiences = append(audiences, audience)
	}
	return audiences, true
}

// DecodeTime reads a time in whole seconds.
func DecodeTime(value string) (seconds int64, ok bool) {
	seconds, ok = strictjson.Integer(value)
	return seconds, ok && value[0] != '-' && seconds <= MaxTime
}

// decodeRef reads an object with a name.
func decodeRef(value string) (ref Ref, ok bool) {
	for name, value := range strictjson.Members(value) {
		text, ok := strictjson.Text(value)
		switch name {
		case "name":
			ref.Name = text
		case "uid":
			ref.UID = types.UID(text)
		default:
			ok = true
		}
		if !ok {
			return Ref{}, false
		}
	}
	return ref, ref.Name != ""
}

// decodeAttestations reads an object of arrays of strings.
func decodeAttestations(value string) (attestations map[string][]string, ok bool) {
	if value[0] != '{' {
		return nil, false
	}
	attestations = map[string][]string{}
	for name, list := range strictjson.Members(value) {
		if list[0] != '[' {
			return nil, false
		}
		values := []string{}
		for element := range strictjson.Elements(list) {
			text, ok := strictjson.Text(element)
			if !ok {
				return nil, false
			}
			values = append(values, text)
		}
		attestations[name] = values
	}
	return attestations, true
}

// decodeObject reads an Object, all of whose members are there.
func decodeObject(value string) (object Object, ok bool) {
	for name, value := range strictjson.Members(value) {
		text, ok := strictjson.Text(value)
		switch name {
		case "apiVersion":
			object.APIVersion = text
		case "kind":
			object.Kind = text
		case "name":
			object.Name = text
		case "uid":
			object.UID = types.UID(text)
		}
		if !ok {
			return Object{}, false
		}
	}
	return object, object.Complete()
}
