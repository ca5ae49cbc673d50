package tokens

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
)

// An encoder writes JSON objects with names in byte order and without white
// space (TOK-2): its callers name the members in that order, and it puts the
// extra ones of the outermost object between them. The text is what
// encoding/json would write.
type encoder struct {
	out   []byte
	extra []extraClaim // sorted by name, those not yet written
}

// An extraClaim is one claim of a [ClaimsExtender], encoded.
type extraClaim struct {
	name  string
	value []byte
}

// encodeBound returns the payload of a bound token (TOK-1..5, TOK-15..20).
func encodeBound(c *claims, extra []extraClaim) []byte {
	e := encoder{out: make([]byte, 0, 1024), extra: extra}
	e.open()
	e.publicName(claimAudience)
	e.list(c.audiences)
	e.publicName(claimExpiry)
	e.integer(c.expiry)
	e.publicName(claimIssuedAt)
	e.integer(c.issuedAt)
	e.publicName(claimIssuer)
	e.text(c.issuer)
	e.publicName(claimID)
	e.text(c.id)
	e.publicName(claimPrivate)
	e.private(c)
	e.publicName(claimNotBefore)
	e.integer(c.notBefore)
	e.publicName(claimSubject)
	e.text(c.subject)
	e.extrasBefore("")
	e.close()
	return e.out
}

// encodeLegacy returns the payload of a Secret-based token (TOK-10).
func encodeLegacy(c *claims) []byte {
	e := encoder{out: make([]byte, 0, 512)}
	e.open()
	e.member(claimIssuer, c.issuer)
	e.member(legacyNamespace, c.namespace)
	e.member(legacySecretName, c.secret.Name)
	e.member(legacyAccountName, c.account.Name)
	e.member(legacyAccountUID, string(c.account.UID))
	e.member(claimSubject, c.subject)
	e.close()
	return e.out
}

func (e *encoder) private(c *claims) {
	e.open()
	if c.attestations != nil {
		e.name(claimAttestation)
		e.open()
		for _, key := range slices.Sorted(maps.Keys(c.attestations)) {
			e.name(key)
			e.list(c.attestations[key])
		}
		e.close()
	}
	e.ref(claimMutating, c.mutating)
	e.member(claimNamespace, c.namespace)
	e.ref(claimNode, c.node)
	e.object(c.object)
	e.ref(claimPod, c.pod)
	e.ref(claimSecret, c.secret)
	e.ref(claimAccount, c.account)
	e.ref(claimValidating, c.validating)
	if c.warnAfter != 0 {
		e.name(claimWarnAfter)
		e.integer(c.warnAfter)
	}
	e.close()
}

func (e *encoder) ref(name string, ref ObjectRef) {
	if ref == (ObjectRef{}) {
		return
	}
	e.name(name)
	e.open()
	e.member("name", ref.Name)
	e.member("uid", string(ref.UID))
	e.close()
}

// member writes a string, unless it is empty.
func (e *encoder) member(name, value string) {
	if value != "" {
		e.name(name)
		e.text(value)
	}
}

// publicName is name, for a member of the outermost object.
func (e *encoder) publicName(name string) {
	e.extrasBefore(name)
	e.name(name)
}

// extrasBefore writes the extra claims that come before name; all if it is
// empty.
func (e *encoder) extrasBefore(name string) {
	for len(e.extra) > 0 && (name == "" || e.extra[0].name < name) {
		e.name(e.extra[0].name)
		e.out = append(e.out, e.extra[0].value...)
		e.extra = e.extra[1:]
	}
}

func (e *encoder) open()  { e.out = append(e.out, '{') }
func (e *encoder) close() { e.out = append(e.out, '}') }

// name writes a name, after a comma if there is a member already.
func (e *encoder) name(name string) {
	if e.out[len(e.out)-1] != '{' {
		e.out = append(e.out, ',')
	}
	e.text(name)
	e.out = append(e.out, ':')
}

func (e *encoder) integer(n int64) { e.out = strconv.AppendInt(e.out, n, 10) }

func (e *encoder) list(values []string) {
	e.out = append(e.out, '[')
	for i, value := range values {
		if i > 0 {
			e.out = append(e.out, ',')
		}
		e.text(value)
	}
	e.out = append(e.out, ']')
}

func (e *encoder) text(s string) {
	if !isPlain(s) {
		quoted, err := json.Marshal(s)
		if err != nil {
			panic("tokens: encoding/json failed on a string") // it can't
		}
		e.out = append(e.out, quoted...)
		return
	}
	e.out = append(e.out, '"')
	e.out = append(e.out, s...)
	e.out = append(e.out, '"')
}

// isPlain reports whether encoding/json writes s as it is between quotes.
func isPlain(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c < ' ', c > '~', c == '"', c == '\\', c == '<', c == '>', c == '&':
			return false
		}
	}
	return true
}
