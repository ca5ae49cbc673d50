package compat

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubesa/serviceaccount/internal/compat/generate"
)

const (
	testIssuer   = "https://issuer.example"
	legacyIssuer = "kubernetes/serviceaccount"
	goodUsername = "system:serviceaccount:team:builder"
)

// A state is what has become of an object that a token speaks of.
type state struct {
	missing bool
	uid     types.UID
	deleted *metav1.Time
	err     error
}

// A tokenCase is a token, the objects around it, and what both made of it.
type tokenCase struct {
	now       time.Time
	legacy    bool // a token of a Secret
	token     string
	requested []string
	header    object
	payload   object
	odd       []string // what is not as it should be

	account, secret, pod, node state
	listed                     bool // the account lists the Secret
	secretType                 corev1.SecretType
	secretToken                string
	secretLabels               map[string]string

	upstream, ours tokenOutcome
}

func (c *tokenCase) note(format string, args ...any) {
	c.odd = append(c.odd, fmt.Sprintf(format, args...))
}

// has says whether something is odd whose note begins with one of prefixes.
func (c *tokenCase) has(prefixes ...string) bool {
	for _, note := range c.odd {
		for _, prefix := range prefixes {
			if strings.HasPrefix(note, prefix) {
				return true
			}
		}
	}
	return false
}

// The seconds around the leeway of a minute.
var offsets = []int{0, -3600, -62, -61, -60, -59, -1, 1, 59, 60, 61, 62, 3600}

func newTokenCase(s *generate.Source, now time.Time) *tokenCase {
	c := &tokenCase{now: now, legacy: s.Chance(25), secretType: corev1.SecretTypeServiceAccountToken}
	key := generate.OneOf(s, tokenKeys()...)
	c.header = object{{"alg", quote(key.alg)}, {"kid", quote(key.id)}}
	if c.legacy {
		c.legacyClaims()
	} else {
		c.boundClaims(s)
	}
	c.objects(s)
	c.requested = generate.OneOf(s, nil, []string{"api"}, []string{"vault"}, []string{"vault", "api"}, []string{"vault", "vault"}, []string{"API"}, []string{"api", "other"})
	for range generate.OneOf(s, 0, 1, 1, 2) {
		c.breakClaim(s)
	}
	alg := key.alg
	if s.Chance(10) {
		alg = c.breakHeader(s, key)
	}
	if s.Chance(3) {
		key = strangeKey()
		c.note("signed by a strange key")
		if s.Chance(50) {
			c.header.set("kid", quote(key.id))
		}
	}
	text := encode([]byte(c.header.String())) + "." + encode([]byte(c.payload.String()))
	c.token = text + "." + encode(key.sign(alg, text))
	if s.Chance(6) {
		c.damage(s)
	}
	c.secretToken = c.token
	if c.legacy && s.Chance(10) {
		c.secretToken = generate.OneOf(s, "", c.token+"x", strings.ToUpper(c.token))
		c.note("the Secret holds another token")
	}
	return c
}

func (c *tokenCase) legacyClaims() {
	c.payload = object{
		{"iss", quote(legacyIssuer)},
		{"kubernetes.io/serviceaccount/namespace", quote("team")},
		{"kubernetes.io/serviceaccount/secret.name", quote("builder-token")},
		{"kubernetes.io/serviceaccount/service-account.name", quote("builder")},
		{"kubernetes.io/serviceaccount/service-account.uid", quote("account-uid")},
		{"sub", quote(goodUsername)},
	}
}

func (c *tokenCase) boundClaims(s *generate.Source) {
	at := func(seconds int) string { return fmt.Sprint(c.now.Unix() + int64(seconds)) }
	private := object{{"namespace", quote("team")}, {"serviceaccount", `{"name":"builder","uid":"account-uid"}`}}
	switch s.Intn(6) {
	case 1:
		private.set("pod", `{"name":"web","uid":"pod-uid"}`)
	case 2:
		private.set("secret", `{"name":"builder-token","uid":"secret-uid"}`)
	case 3:
		private.set("node", `{"name":"node-1","uid":"node-uid"}`)
	case 4:
		private.set("pod", `{"name":"web","uid":"pod-uid"}`)
		private.set("node", generate.OneOf(s, `{"name":"node-1","uid":"node-uid"}`, `{"name":"gone"}`, `{"name":"gone","uid":"x"}`))
	case 5:
		private.set("warnafter", at(generate.OneOf(s, offsets...)))
	}
	c.payload = object{
		{"aud", generate.OneOf(s, `["api"]`, `["vault"]`, `["api","vault"]`, `"api"`, `["vault","api","other"]`)},
		{"exp", at(600)},
		{"iat", at(-10)},
		{"iss", quote(testIssuer)},
		{"jti", quote("0a1b2c")},
		{"kubernetes.io", private.String()},
		{"nbf", at(-10)},
		{"sub", quote(goodUsername)},
	}
}

// objects decides what the getters know.
func (c *tokenCase) objects(s *generate.Source) {
	object := func(name string, uid types.UID) state {
		v := state{uid: uid}
		switch s.Intn(25) {
		case 24:
			v.missing = true
			c.note("%s missing", name)
		case 23:
			v.uid = "another"
			c.note("%s re-created", name)
		case 22, 21:
			seconds := generate.OneOf(s, offsets...)
			v.deleted = new(metav1.NewTime(c.now.Add(time.Duration(seconds) * time.Second)))
			c.note("%s deleted at %d", name, seconds)
		case 20:
			v.err = generate.OneOf[error](s, apierrors.NewInternalError(errors.New("boom")), context.DeadlineExceeded,
				apierrors.NewForbidden(schema.GroupResource{Resource: name}, "x", errors.New("no")))
			c.note("%s unavailable", name)
		}
		return v
	}
	c.account = object("account", "account-uid")
	c.secret = object("secret", "secret-uid")
	c.pod = object("pod", "pod-uid")
	c.node = object("node", "node-uid")
	c.listed = s.Chance(50)
	if s.Chance(5) {
		c.secretType = generate.OneOf[corev1.SecretType](s, corev1.SecretTypeOpaque, "")
		c.note("the Secret has type %q", c.secretType)
	}
	c.secretLabels = generate.OneOf(s, nil, nil, nil,
		map[string]string{"kubernetes.io/legacy-token-last-used": c.now.UTC().Format("2006-01-02")},
		map[string]string{"kubernetes.io/legacy-token-invalid-since": ""},
		map[string]string{"kubernetes.io/legacy-token-invalid-since": "2024-01-01"},
	)
}

// Values that claims should not have.
var (
	oddTexts   = []string{`""`, `null`, `7`, `["x"]`, `{}`, `true`, quote(goodUsername + "x"), `"system:serviceaccount:team:"`, `"system:serviceaccount:other:builder"`, `"system:serviceaccount:team:builder:x"`, `"team:builder"`, `"\u0000"`, `"TEAM"`, `" team"`}
	oddTimes   = []string{`null`, `"17"`, `true`, `-1`, `0`, `1e300`, `1e400`, `9223372036854775807`, `9223372036854775808`, `1.5`, `{}`, `[]`, `1e9`, `17e8`}
	oddLists   = []string{`[]`, `null`, `7`, `["api",7]`, `[["api"]]`, `""`, `[""]`, `["API"]`, `{}`, `["api","api"]`, `"vault"`, `"other"`}
	oddRefs    = []string{`null`, `{}`, `{"name":""}`, `{"uid":"account-uid"}`, `{"name":"builder"}`, `{"name":"builder","uid":""}`, `{"name":"builder","uid":"another"}`, `[]`, `"builder"`, `{"name":7}`, `{"NAME":"builder","uid":"account-uid"}`, `{"name":"builder","uid":"account-uid","more":1}`}
	oddPrivate = []string{`null`, `{}`, `[]`, `"x"`, `7`}
)

// breakClaim makes one claim odd: takes it away, doubles it, spells it
// otherwise, or changes its value.
func (c *tokenCase) breakClaim(s *generate.Source) {
	if s.Chance(40) && !c.legacy {
		c.shiftTime(s)
		return
	}
	at := s.Intn(len(c.payload))
	name := c.payload[at].name
	switch s.Intn(12) {
	case 0, 1:
		c.payload.remove(name)
		c.note("no %s", name)
	case 2:
		c.payload = append(c.payload, member{name, generate.OneOf(s, c.payload[at].value, `"other"`)})
		c.note("twice %s", name)
	case 3:
		c.payload[at].name = generate.OneOf(s, strings.ToUpper(name), strings.ToUpper(name[:1])+name[1:], strings.Replace(name, "s", "ſ", 1), strings.Replace(name, "k", "\u212a", 1))
		if c.payload[at].name != name {
			c.note("case of %s", name)
		}
	case 4:
		c.payload = append(c.payload, generate.OneOf(s,
			member{"extra", `{"a":[1,2]}`}, member{"azp", `"x"`},
			member{strings.ToUpper(name), `"other"`}, member{"kubernetes.io/serviceaccount/namespace", `"other"`}, member{"kubernetes.io", `{"namespace":"other"}`}))
		c.note("more claims")
	default:
		c.payload[at].value = c.oddValue(s, name)
		c.note("odd %s %s", name, c.payload[at].value)
	}
}

func (c *tokenCase) shiftTime(s *generate.Source) {
	name, base := generate.OneOf(s, "exp", "nbf", "iat"), generate.OneOf(s, offsets...)
	value := fmt.Sprint(c.now.Unix() + int64(base))
	if s.Chance(5) {
		value += generate.OneOf(s, ".0", ".4", ".999999999", "e0")
		c.note("odd %s, a fraction", name)
	}
	c.payload.set(name, value)
	c.note("shifted %s %d", name, base)
}

func (c *tokenCase) oddValue(s *generate.Source, name string) string {
	switch name {
	case "exp", "nbf", "iat":
		return generate.OneOf(s, oddTimes...)
	case "aud":
		return generate.OneOf(s, oddLists...)
	case "kubernetes.io":
		if s.Chance(30) {
			return generate.OneOf(s, oddPrivate...)
		}
		private := object{{"namespace", quote("team")}, {"serviceaccount", `{"name":"builder","uid":"account-uid"}`}}
		part := generate.OneOf(s, "serviceaccount", "namespace", "pod", "secret", "node", "warnafter", "validatingwebhookconfiguration", "mutatingwebhookconfiguration", "attestations", "unknown")
		switch part {
		case "namespace":
			private.set(part, generate.OneOf(s, oddTexts...))
		case "warnafter":
			private.set(part, generate.OneOf(s, oddTimes...))
		case "attestations":
			private.set(part, generate.OneOf(s, `{"admissionReviewAPIGroups":["apps"]}`, `{"x":[]}`, `7`, `null`, `{}`))
		default:
			private.set(part, generate.OneOf(s, oddRefs...))
		}
		if s.Chance(10) {
			private.set("secret", `{"name":"builder-token","uid":"secret-uid"}`)
			private.set("pod", `{"name":"web","uid":"pod-uid"}`)
		}
		return private.String()
	}
	return generate.OneOf(s, oddTexts...)
}

// breakHeader changes the header and returns the algorithm to sign with.
func (c *tokenCase) breakHeader(s *generate.Source, key tokenKey) string {
	switch s.Intn(6) {
	case 0:
		alg := generate.OneOf(s, "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "HS256", "none", "None", "", "rs256", "EdDSA")
		c.header.set("alg", quote(alg))
		if alg != key.alg {
			c.note("alg %s", alg)
		}
		return alg
	case 1:
		c.header.set("alg", generate.OneOf(s, `null`, `7`, `["RS256"]`))
		c.note("header alg is no text")
	case 2:
		kid := generate.OneOf(s, `""`, quote(tokenKeys()[1].id), quote(tokenKeys()[0].id), `"unknown"`, `null`, `7`, quote(strings.Repeat("k", 2000)))
		c.header.set("kid", kid)
		c.note("kid %.20s", kid)
	case 3:
		c.header.remove(generate.OneOf(s, "kid", "alg"))
		c.note("header lacks a member")
	case 4:
		m := generate.OneOf(s, member{"typ", `"JWT"`}, member{"typ", `"jwt"`}, member{"typ", `"at+jwt"`}, member{"typ", `5`}, member{"cty", `"JWT"`},
			member{"crit", `[]`}, member{"crit", `["exp"]`}, member{"crit", `null`}, member{"b64", `false`}, member{"b64", `true`}, member{"zip", `"DEF"`},
			member{"nonce", `"n"`}, member{"jku", `"https://evil.example"`}, member{"x5c", `[]`}, member{"unknown", `{"a":1}`})
		c.header = append(c.header, m)
		c.note("header has %s %s", m.name, m.value)
	case 5:
		m := generate.OneOf(s, c.header...)
		c.header = append(c.header, m)
		c.note("header twice %s", m.name)
	}
	return key.alg
}

// damage changes the text of the token.
func (c *tokenCase) damage(s *generate.Source) {
	switch s.Intn(8) {
	case 0:
		at := s.Intn(len(c.token))
		c.token = c.token[:at] + string("abcXYZ019-_.=+/ \n"[s.Intn(17)]) + c.token[at+1:]
		c.note("text changed")
	case 1:
		space := generate.OneOf(s, " ", "\n", "\t", "\r\n", "\u00a0", "\ufeff")
		if s.Chance(50) {
			c.token = space + c.token
		} else {
			c.token += space
		}
		c.note("space around")
	case 2:
		at := s.Intn(len(c.token))
		c.token = c.token[:at] + generate.OneOf(s, "\n", "\r", " ") + c.token[at:]
		c.note("space inside")
	case 3:
		c.token += generate.OneOf(s, "=", "==", ".", "..", ".x", "A")
		c.note("text added")
	case 4:
		c.token = c.token[:s.Intn(len(c.token))]
		c.note("text cut")
	case 5:
		parts := strings.Split(c.token, ".")
		c.token = fmt.Sprintf(`{"protected":%q,"payload":%q,"signature":%q}`, parts[0], parts[1], parts[2])
		c.note("JSON form")
	case 6:
		c.token = generate.OneOf(s, "", ".", "..", "...", "opaque", "a.b.c", "Bearer x")
		c.note("no token")
	case 7:
		// Bits of the last character that mean nothing.
		last := c.token[len(c.token)-1]
		const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
		c.token = c.token[:len(c.token)-1] + string(alphabet[(strings.IndexByte(alphabet, last)+1)%64])
		c.note("text changed")
	}
}

// The getters of both sides know the objects of the current case.

func (b *bothAuthenticators) GetServiceAccount(_ context.Context, namespace, name string) (*corev1.ServiceAccount, error) {
	c := b.current
	if namespace != "team" || name != "builder" {
		return nil, notFound("serviceaccounts", name)
	}
	account := &corev1.ServiceAccount{}
	if c.listed {
		account.Secrets = []corev1.ObjectReference{{Name: "builder-token"}}
	}
	return account, c.account.fill(&account.ObjectMeta, "serviceaccounts", namespace, name)
}

func (b *bothAuthenticators) GetSecret(_ context.Context, namespace, name string) (*corev1.Secret, error) {
	c := b.current
	if namespace != "team" || name != "builder-token" {
		return nil, notFound("secrets", name)
	}
	secret := &corev1.Secret{Type: c.secretType, Data: map[string][]byte{"token": []byte(c.secretToken)}}
	secret.Labels = c.secretLabels
	secret.Annotations = map[string]string{corev1.ServiceAccountNameKey: "builder", corev1.ServiceAccountUIDKey: "account-uid"}
	return secret, c.secret.fill(&secret.ObjectMeta, "secrets", namespace, name)
}

func (b *bothAuthenticators) GetPod(_ context.Context, namespace, name string) (*corev1.Pod, error) {
	c := b.current
	if namespace != "team" || name != "web" {
		return nil, notFound("pods", name)
	}
	pod := &corev1.Pod{}
	pod.Spec.ServiceAccountName = "builder"
	return pod, c.pod.fill(&pod.ObjectMeta, "pods", namespace, name)
}

func (b *bothAuthenticators) GetNode(_ context.Context, name string) (*corev1.Node, error) {
	c := b.current
	if name != "node-1" {
		return nil, notFound("nodes", name)
	}
	node := &corev1.Node{}
	return node, c.node.fill(&node.ObjectMeta, "nodes", "", name)
}

func (b *bothAuthenticators) GetValidatingWebhookConfiguration(_ context.Context, name string) (*admissionregistrationv1.ValidatingWebhookConfiguration, error) {
	return nil, notFound("validatingwebhookconfigurations", name)
}

func (b *bothAuthenticators) GetMutatingWebhookConfiguration(_ context.Context, name string) (*admissionregistrationv1.MutatingWebhookConfiguration, error) {
	return nil, notFound("mutatingwebhookconfigurations", name)
}

func (v state) fill(meta *metav1.ObjectMeta, resource, namespace, name string) error {
	if v.err != nil {
		return v.err
	}
	if v.missing {
		return notFound(resource, name)
	}
	meta.Namespace, meta.Name, meta.UID, meta.DeletionTimestamp = namespace, name, v.uid, v.deleted
	return nil
}

func notFound(resource, name string) error {
	return apierrors.NewNotFound(schema.GroupResource{Resource: resource}, name)
}
