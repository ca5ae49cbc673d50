package payload

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
	extra []Extra // sorted by name, those not yet written
}

// An Extra is one claim that isn't of Kubernetes, encoded.
type Extra struct {
	Name  string
	Value []byte
}

// EncodeBound returns the payload of a bound token (TOK-1..5, TOK-15..20).
func (c *Claims) EncodeBound(extra []Extra) []byte {
	e := encoder{out: make([]byte, 0, 1024), extra: extra}
	e.open()
	e.publicName(ClaimAudience)
	e.list(c.Audiences)
	e.publicName(ClaimExpiry)
	e.integer(c.Expiry)
	e.publicName(ClaimIssuedAt)
	e.integer(c.IssuedAt)
	e.publicName(ClaimIssuer)
	e.text(c.Issuer)
	e.publicName(ClaimID)
	e.text(c.ID)
	e.publicName(ClaimPrivate)
	e.private(c)
	e.publicName(ClaimNotBefore)
	e.integer(c.NotBefore)
	e.publicName(ClaimSubject)
	e.text(c.Subject)
	e.extrasBefore("")
	e.close()
	return e.out
}

// EncodeLegacy returns the payload of a Secret-based token (TOK-10).
func (c *Claims) EncodeLegacy() []byte {
	e := encoder{out: make([]byte, 0, 512)}
	e.open()
	e.member(ClaimIssuer, c.Issuer)
	e.member(LegacyNamespace, c.Namespace)
	e.member(LegacySecretName, c.Secret.Name)
	e.member(LegacyAccountName, c.Account.Name)
	e.member(LegacyAccountUID, string(c.Account.UID))
	e.member(ClaimSubject, c.Subject)
	e.close()
	return e.out
}

func (e *encoder) private(c *Claims) {
	e.open()
	if c.Attestations != nil {
		e.name(ClaimAttestation)
		e.open()
		for _, key := range slices.Sorted(maps.Keys(c.Attestations)) {
			e.name(key)
			e.list(c.Attestations[key])
		}
		e.close()
	}
	e.ref(ClaimMutating, c.Mutating)
	e.member(ClaimNamespace, c.Namespace)
	e.ref(ClaimNode, c.Node)
	e.object(c.Object)
	e.ref(ClaimPod, c.Pod)
	e.ref(ClaimSecret, c.Secret)
	e.ref(ClaimAccount, c.Account)
	e.ref(ClaimValidating, c.Validating)
	if c.WarnAfter != 0 {
		e.name(ClaimWarnAfter)
		e.integer(c.WarnAfter)
	}
	e.close()
}

func (e *encoder) ref(name string, ref Ref) {
	if ref == (Ref{}) {
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
	for len(e.extra) > 0 && (name == "" || e.extra[0].Name < name) {
		e.name(e.extra[0].Name)
		e.out = append(e.out, e.extra[0].Value...)
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

func (e *encoder) object(o Object) {
	if o == (Object{}) {
		return
	}
	e.name(ClaimObject)
	e.open()
	e.member("apiVersion", o.APIVersion)
	e.member("kind", o.Kind)
	e.member("name", o.Name)
	e.member("uid", string(o.UID))
	e.close()
}
