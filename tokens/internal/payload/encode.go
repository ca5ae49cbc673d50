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

	cluster member // with a value if it is not yet written
}

// A member is one of an object, with a string as its value.
type member struct{ name, value string }

// An Extra is one claim that isn't of Kubernetes, encoded.
type Extra struct {
	Name  string
	Value []byte
}

// EncodeBound returns the payload of a bound token, with c.Cluster in the private claim
// cluster (TOK-1..5, TOK-15..20).
func (c *Claims) EncodeBound(cluster string, extra []Extra) []byte {
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
	e.private(c, cluster)
	e.publicName(ClaimNotBefore)
	e.integer(c.NotBefore)
	e.publicName(ClaimSubject)
	e.text(c.Subject)
	e.extrasBefore("")
	e.close()
	return e.out
}

// EncodeLegacy is EncodeBound for a Secret-based token (TOK-10).
func (c *Claims) EncodeLegacy(cluster string) []byte {
	e := encoder{out: make([]byte, 0, 512)}
	e.open()
	e.member(ClaimIssuer, c.Issuer)
	e.cluster = member{legacyPrefix + cluster, c.Cluster}
	e.privateMember(LegacyNamespace, c.Namespace)
	e.privateMember(LegacySecretName, c.Secret.Name)
	e.privateMember(LegacyAccountName, c.Account.Name)
	e.privateMember(LegacyAccountUID, string(c.Account.UID))
	e.privateMember(ClaimSubject, c.Subject)
	e.close()
	return e.out
}

func (e *encoder) private(c *Claims, cluster string) {
	e.cluster = member{cluster, c.Cluster}
	e.open()
	if c.Attestations != nil {
		e.privateName(ClaimAttestation)
		e.open()
		for _, key := range slices.Sorted(maps.Keys(c.Attestations)) {
			e.name(key)
			e.list(c.Attestations[key])
		}
		e.close()
	}
	e.ref(ClaimMutating, c.Mutating)
	e.privateMember(ClaimNamespace, c.Namespace)
	e.ref(ClaimNode, c.Node)
	e.object(c.Object)
	e.ref(ClaimPod, c.Pod)
	e.ref(ClaimSecret, c.Secret)
	e.ref(ClaimAccount, c.Account)
	e.ref(ClaimValidating, c.Validating)
	if c.WarnAfter != 0 {
		e.privateName(ClaimWarnAfter)
		e.integer(c.WarnAfter)
	}
	e.clusterBefore("")
	e.close()
}

func (e *encoder) ref(name string, ref Ref) {
	if ref == (Ref{}) {
		return
	}
	e.privateName(name)
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

// privateName is name, for a member of the private claim.
func (e *encoder) privateName(name string) {
	e.clusterBefore(name)
	e.name(name)
}

// privateMember is member, for one of the private claim.
func (e *encoder) privateMember(name, value string) {
	e.clusterBefore(name)
	e.member(name, value)
}

// clusterBefore writes the cluster if it comes before name, or that is empty.
func (e *encoder) clusterBefore(name string) {
	if c := e.cluster; name == "" || c.name < name {
		e.cluster = member{}
		e.member(c.name, c.value)
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
		quoted, _ := json.Marshal(s) // which writes every text
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
	e.privateName(ClaimObject)
	e.open()
	e.member("apiVersion", o.APIVersion)
	e.member("kind", o.Kind)
	e.member("name", o.Name)
	e.member("uid", string(o.UID))
	e.close()
}
