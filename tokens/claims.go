package tokens

import (
	"github.com/kubesa/serviceaccount/internal/strictjson"
	"k8s.io/apimachinery/pkg/types"
)

// An ObjectRef names an object that a token is about or bound to. The zero
// value means that there is none.
type ObjectRef struct {
	Name string
	UID  types.UID
}

// The names of claims (RFC 7519 and TOK-10, TOK-15).
const (
	claimIssuer    = "iss"
	claimSubject   = "sub"
	claimAudience  = "aud"
	claimExpiry    = "exp"
	claimNotBefore = "nbf"
	claimIssuedAt  = "iat"
	claimID        = "jti"

	claimPrivate     = "kubernetes.io"
	claimNamespace   = "namespace"
	claimAccount     = "serviceaccount"
	claimPod         = "pod"
	claimSecret      = "secret"
	claimNode        = "node"
	claimValidating  = "validatingwebhookconfiguration"
	claimMutating    = "mutatingwebhookconfiguration"
	claimAttestation = "attestations"
	claimWarnAfter   = "warnafter"
	claimObject      = "object" // of this library, see [BoundObject]

	legacyPrefix      = "kubernetes.io/serviceaccount/"
	legacyNamespace   = legacyPrefix + "namespace"
	legacySecretName  = legacyPrefix + "secret.name"
	legacyAccountName = legacyPrefix + "service-account.name"
	legacyAccountUID  = legacyPrefix + "service-account.uid"
)

// Limits of claims.
const (
	maxAudiences = 64
	maxTime      = 253402300799 // the last second of the year 9999
	noTime       = -1           // a time that isn't there
)

// claims are those of a token of either kind. They follow from the payload alone,
// so they are cached along with the signature. After decoding nothing changes
// them.
type claims struct {
	legacy  bool
	private bool // it has the claim "kubernetes.io"
	payload string

	issuer, subject, id         string
	credentialID                string // "JTI=" and the id
	audiences                   []string
	expiry, notBefore, issuedAt int64 // noTime if absent
	namespace                   string
	account                     ObjectRef
	pod, secret, node           ObjectRef // legacy: only the name of the Secret
	validating, mutating        ObjectRef // webhook configurations
	object                      BoundObject
	attestations                map[string][]string
	warnAfter                   int64 // 0 if absent
}

// newClaims returns claims without any.
func newClaims(legacy bool) *claims {
	return &claims{legacy: legacy, expiry: noTime, notBefore: noTime, issuedAt: noTime}
}

func missing(claim string) *InvalidError { return &InvalidError{ReasonMissingClaim, claim} }
func invalid(claim string) *InvalidError { return &InvalidError{ReasonInvalidClaim, claim} }

// decode reads one claim.
func (c *claims) decode(name, value string) *InvalidError {
	if c.legacy {
		return c.decodeLegacy(name, value)
	}
	switch name {
	case claimPrivate:
		return c.decodePrivate(value)
	case legacyNamespace, legacySecretName, legacyAccountName, legacyAccountUID:
		return invalid(name) // tokens are of one kind
	}
	if claim, ok := c.decodePublic(name, value); !ok {
		return invalid(claim)
	}
	return nil
}

// check checks the claims together, once all of them are decoded.
func (c *claims) check() *InvalidError {
	if c.legacy {
		return c.checkLegacy()
	}
	return c.checkBound()
}

// checkBound checks the claims of a bound token (TOK-15, TOK-66, TOK-67).
func (c *claims) checkBound() *InvalidError {
	switch {
	case !c.private:
		return missing(claimPrivate)
	case len(c.audiences) == 0:
		return missing(claimAudience)
	case c.expiry == noTime:
		return missing(claimExpiry)
	case c.subject == "":
		return missing(claimSubject)
	case c.namespace == "":
		return missing(claimNamespace)
	case c.account.Name == "" || c.account.UID == "":
		return missing(claimAccount)
	case !validAccount(c.namespace, c.account.Name):
		return invalid(claimAccount)
	case !matchesUsername(c.namespace, c.account.Name, c.subject):
		return invalid(claimSubject)
	}
	return c.checkBinding()
}

// checkBinding checks that c is bound to at most one object, where a node
// beside a pod is only information (TOK-16, TOK-17).
func (c *claims) checkBinding() *InvalidError {
	bindings := 0
	for _, ref := range [...]ObjectRef{c.pod, c.secret, c.validating, c.mutating} {
		if ref.Name != "" {
			bindings++
		}
	}
	if c.node.Name != "" && c.pod.Name == "" {
		bindings++
	}
	if c.object.Name != "" {
		bindings++
	}
	if bindings > 1 {
		return invalid(claimPrivate)
	}
	return nil
}

// decodePublic reads one registered claim; others are left alone.
func (c *claims) decodePublic(name, value string) (claim string, ok bool) {
	switch name {
	case claimSubject:
		c.subject, ok = strictjson.Text(value)
		return claimSubject, ok
	case claimID:
		c.id, ok = strictjson.Text(value)
		c.credentialID = credentialID(c.id)
		return claimID, ok
	case claimAudience:
		c.audiences, ok = decodeAudiences(value)
		return claimAudience, ok
	case claimExpiry:
		c.expiry, ok = decodeTime(value)
		return claimExpiry, ok
	case claimNotBefore:
		c.notBefore, ok = decodeTime(value)
		return claimNotBefore, ok
	case claimIssuedAt:
		c.issuedAt, ok = decodeTime(value)
		return claimIssuedAt, ok
	}
	return "", true
}

// decodePrivate reads the object under "kubernetes.io".
func (c *claims) decodePrivate(object string) *InvalidError {
	c.private = true
	if object[0] != '{' {
		return invalid(claimPrivate)
	}
	for name, value := range strictjson.Members(object) {
		claim, ok := "", true
		switch name {
		case claimNamespace:
			claim = claimNamespace
			c.namespace, ok = strictjson.Text(value)
		case claimAccount:
			claim = claimAccount
			c.account, ok = decodeRef(value)
		case claimPod:
			claim = claimPod
			c.pod, ok = decodeRef(value)
		case claimSecret:
			claim = claimSecret
			c.secret, ok = decodeRef(value)
		case claimNode:
			claim = claimNode
			c.node, ok = decodeRef(value)
		case claimValidating:
			claim = claimValidating
			c.validating, ok = decodeRef(value)
		case claimMutating:
			claim = claimMutating
			c.mutating, ok = decodeRef(value)
		case claimObject:
			claim = claimObject
			c.object, ok = decodeObject(value)
		case claimAttestation:
			claim = claimAttestation
			c.attestations, ok = decodeAttestations(value)
		case claimWarnAfter:
			claim = claimWarnAfter
			c.warnAfter, ok = decodeTime(value)
		}
		if !ok {
			return invalid(claim)
		}
	}
	return nil
}

// decodeLegacy is decode for a Secret-based token (TOK-51, TOK-52).
func (c *claims) decodeLegacy(name, value string) *InvalidError {
	claim, ok := "", true
	switch name {
	case claimPrivate:
		ok, claim = false, claimPrivate // tokens are of one kind
	case legacyNamespace:
		claim = "namespace"
		c.namespace, ok = strictjson.Text(value)
	case legacySecretName:
		claim = "secretName"
		c.secret.Name, ok = strictjson.Text(value)
	case legacyAccountName:
		claim = "serviceAccountName"
		c.account.Name, ok = strictjson.Text(value)
	case legacyAccountUID:
		claim = "serviceAccountUID"
		var uid string
		uid, ok = strictjson.Text(value)
		c.account.UID = types.UID(uid)
	default:
		claim, ok = c.decodePublic(name, value)
	}
	if !ok {
		return invalid(claim)
	}
	return nil
}

// checkLegacy checks the claims of a Secret-based token.
func (c *claims) checkLegacy() *InvalidError {
	switch {
	case c.subject == "":
		return missing(claimSubject)
	case c.namespace == "":
		return missing("namespace")
	case c.secret.Name == "":
		return missing("secretName")
	case c.account.Name == "":
		return missing("serviceAccountName")
	case c.account.UID == "":
		return missing("serviceAccountUID")
	case !validAccount(c.namespace, c.account.Name), !matchesUsername(c.namespace, c.account.Name, c.subject):
		return invalid(claimSubject)
	}
	return nil
}

// decodeAudiences reads a string or an array of distinct strings (TOK-4).
func decodeAudiences(value string) (audiences []string, ok bool) {
	if value[0] != '[' {
		audience, ok := strictjson.Text(value)
		return []string{audience}, ok
	}
	for element := range strictjson.Elements(value) {
		audience, ok := strictjson.Text(element)
		if !ok || len(audiences) == maxAudiences {
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

// decodeTime reads a time in whole seconds.
func decodeTime(value string) (seconds int64, ok bool) {
	seconds, ok = strictjson.Integer(value)
	return seconds, ok && value[0] != '-' && seconds <= maxTime
}

// decodeRef reads an object with a name.
func decodeRef(value string) (ref ObjectRef, ok bool) {
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
			return ObjectRef{}, false
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
