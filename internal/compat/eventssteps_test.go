package compat

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/fake/fault"
	"github.com/kubesa/serviceaccount/internal/compat/generate"
)

// Short names, for the signatures of generic functions.
type (
	namespace          = corev1.Namespace
	namespaceList      = corev1.NamespaceList
	serviceAccount     = corev1.ServiceAccount
	serviceAccountList = corev1.ServiceAccountList
	secret             = corev1.Secret
	secretList         = corev1.SecretList
	configMap          = corev1.ConfigMap
	configMapList      = corev1.ConfigMapList
)

const (
	userActor      = "user"
	rootCAMap      = "kube-root-ca.crt"
	holdFinalizer  = "test.example/hold"
	eventsRootCA   = "the CA bundle"
	foreignUID     = "an account that never was"
	tokenNamespace = "namespace"
)

// An eventStep is something that happens to a world.
type eventStep struct {
	text string
	do   func(w *eventWorld) error
	// What comes after it.
	settle, relist bool
	shuffle        uint64 // the order of our side, if not zero
}

// newEventSteps makes a sequence. There are few names, so that steps meet.
func newEventSteps(s *generate.Source) []*eventStep {
	var steps []*eventStep
	for len(steps) < 16 && s.Intn(12) > 0 {
		step := newEventStep(s)
		switch after := s.Intn(10); {
		case after >= 9:
			step.settle, step.relist = true, true
		case after >= 6:
			step.settle = true
		}
		steps = append(steps, step)
	}
	// The last one is there so that everything settles.
	last := step("nothing", func(*eventWorld) error { return nil })
	last.settle, last.relist, last.shuffle = true, s.Chance(10), uint64(s.Intn(4))
	return append(steps, last)
}

func newEventStep(s *generate.Source) *eventStep {
	what := s.Intn(100)
	ns := generate.OneOf(s, "team", "team", "team", "ops")
	account := generate.OneOf(s, "builder", "builder", "default")
	name := generate.OneOf(s, "token-a", "token-a", "token-b")
	switch {
	case what < 18:
		return createSecretStep(s, ns, name, account)
	case what < 26:
		return pairStep(s, ns, name, account)
	case what < 30:
		refs := generate.ListOf(s, 1, func() string { return name })
		hold := s.Chance(20)
		return step(fmt.Sprintf("create ServiceAccount %s/%s listing %v, held %t", ns, account, refs, hold), func(w *eventWorld) error {
			a := &serviceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: account, Finalizers: held(hold)}, Secrets: references(refs)}
			_, err := w.cluster.CreateServiceAccount(w.user, a)
			return err
		})
	case what < 33:
		return step(fmt.Sprintf("create ServiceAccount %s/%s again", ns, account), func(w *eventWorld) error {
			a, err := w.cluster.GetServiceAccount(w.user, ns, account)
			if err == nil {
				err = w.cluster.DeleteServiceAccount(w.user, ns, account, metav1.DeleteOptions{})
			}
			if err == nil {
				_, err = w.cluster.CreateServiceAccount(w.user, &serviceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: account}, Secrets: a.Secrets})
			}
			return err
		})
	case what < 36:
		return step(fmt.Sprintf("create Secret %s/%s again", ns, name), func(w *eventWorld) error {
			n, err := w.cluster.GetSecret(w.user, ns, name)
			if err == nil {
				err = w.cluster.DeleteSecret(w.user, ns, name, metav1.DeleteOptions{})
			}
			if err == nil {
				_, err = w.cluster.CreateSecret(w.user, &secret{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name, Annotations: n.Annotations}, Type: n.Type, Data: n.Data})
			}
			return err
		})
	case what < 42:
		return step(fmt.Sprintf("delete ServiceAccount %s/%s", ns, account), func(w *eventWorld) error {
			return w.cluster.DeleteServiceAccount(w.user, ns, account, metav1.DeleteOptions{})
		})
	case what < 49:
		return step(fmt.Sprintf("delete Secret %s/%s", ns, name), func(w *eventWorld) error {
			return w.cluster.DeleteSecret(w.user, ns, name, metav1.DeleteOptions{})
		})
	case what < 57:
		return editAccountStep(s, ns, account, name)
	case what < 71:
		return editSecretStep(s, ns, name)
	case what < 75:
		return step("delete Namespace "+ns, func(w *eventWorld) error {
			return w.cluster.DeleteNamespace(w.user, ns, metav1.DeleteOptions{})
		})
	case what < 79:
		return step("create Namespace "+ns, func(w *eventWorld) error {
			_, err := w.cluster.CreateNamespace(w.user, &namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}})
			return err
		})
	case what < 88:
		return configMapStep(s, ns)
	case what < 91:
		return step("release what is held in "+ns, func(w *eventWorld) error { return w.release(ns) })
	case what < 97:
		return faultStep(s, ns, name)
	default:
		n := 1 + s.Intn(2)
		return step(fmt.Sprintf("the next %d signatures fail", n), func(w *eventWorld) error {
			w.signerFails.Store(int32(n))
			return nil
		})
	}
}

func step(text string, do func(w *eventWorld) error) *eventStep {
	return &eventStep{text: text, do: do}
}

// held returns the finalizers of an object that stays when it is deleted.
func held(hold bool) []string {
	if hold {
		return []string{holdFinalizer}
	}
	return nil
}

func references(names []string) (refs []corev1.ObjectReference) {
	for _, name := range names {
		refs = append(refs, corev1.ObjectReference{Name: name})
	}
	return refs
}

// createSecretStep makes a token Secret, with everything that may be odd about one.
func createSecretStep(s *generate.Source, ns, name, account string) *eventStep {
	owner := generate.OneOf(s, account, account, account, account, account, "nobody")
	uid := generate.OneOf(s, "no", "no", "its", "its", "its", "another", "an empty")
	kind := corev1.SecretTypeServiceAccountToken
	if s.Chance(8) {
		kind = corev1.SecretTypeOpaque
	}
	data := map[string]string{}
	if s.Chance(25) {
		data[corev1.ServiceAccountTokenKey] = generate.OneOf(s, "whatever", "")
	}
	if s.Chance(25) {
		data[corev1.ServiceAccountRootCAKey] = generate.OneOf(s, eventsRootCA, "another CA bundle", "")
	}
	if s.Chance(25) {
		data[tokenNamespace] = generate.OneOf(s, ns, "custom", "")
	}
	hold := s.Chance(12)
	text := fmt.Sprintf("create Secret %s/%s of type %s for %s with %s UID, data %v, held %t", ns, name, kind, owner, uid, data, hold)
	return step(text, func(w *eventWorld) error {
		n := &secret{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name, Finalizers: held(hold), Annotations: map[string]string{corev1.ServiceAccountNameKey: owner}}, Type: kind}
		w.annotate(n, uid)
		for key, value := range data {
			if n.Data == nil {
				n.Data = map[string][]byte{}
			}
			n.Data[key] = []byte(value)
		}
		_, err := w.cluster.CreateSecret(w.user, n)
		return err
	})
}

// pairStep makes an account that lists its token Secret, as the account's owner
// would.
func pairStep(s *generate.Source, ns, name, account string) *eventStep {
	hold := s.Chance(15)
	uid := generate.OneOf(s, "its", "its", "no")
	text := fmt.Sprintf("create ServiceAccount %s/%s, held %t, and list Secret %s, which is created with %s UID", ns, account, hold, name, uid)
	return step(text, func(w *eventWorld) error {
		_, err := w.cluster.CreateServiceAccount(w.user, &serviceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: account, Finalizers: held(hold)}})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return err
		}
		n := &secret{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name, Annotations: map[string]string{corev1.ServiceAccountNameKey: account}}, Type: corev1.SecretTypeServiceAccountToken}
		w.annotate(n, uid)
		if _, err := w.cluster.CreateSecret(w.user, n); err != nil && !apierrors.IsAlreadyExists(err) {
			return err
		}
		a, err := w.cluster.GetServiceAccount(w.user, ns, account)
		if err != nil {
			return err
		}
		a.Secrets = append(a.Secrets, corev1.ObjectReference{Name: name})
		_, err = w.cluster.UpdateServiceAccount(w.user, a)
		return err
	})
}

func editAccountStep(s *generate.Source, ns, account, name string) *eventStep {
	edit, what := generate.OneOf(s, "list", "list", "list", "pull with", "unlist", "annotate"), ""
	if edit != "annotate" {
		what = name
	}
	return step(fmt.Sprintf("%s %s in ServiceAccount %s/%s", edit, what, ns, account), func(w *eventWorld) error {
		a, err := w.cluster.GetServiceAccount(w.user, ns, account)
		if err != nil {
			return err
		}
		switch edit {
		case "list":
			a.Secrets = append(a.Secrets, corev1.ObjectReference{Name: name})
		case "pull with":
			a.ImagePullSecrets = append(a.ImagePullSecrets, corev1.LocalObjectReference{Name: name})
		case "unlist":
			a.Secrets = slices.DeleteFunc(a.Secrets, func(r corev1.ObjectReference) bool { return r.Name == name })
		case "annotate":
			a.Annotations = map[string]string{"example.com/note": "x"}
		}
		_, err = w.cluster.UpdateServiceAccount(w.user, a)
		return err
	})
}

func editSecretStep(s *generate.Source, ns, name string) *eventStep {
	edit := generate.OneOf(s, "no UID", "its UID", "another UID", "an empty UID", "account builder", "account builder", "account default", "account default", "account nobody",
		"account default, then delete", "account builder, then delete", "no token", "no namespace", "no ca.crt", "another ca.crt", "another token", "a label")
	return step(fmt.Sprintf("edit Secret %s/%s: %s", ns, name, edit), func(w *eventWorld) error {
		n, err := w.cluster.GetSecret(w.user, ns, name)
		if err != nil {
			return err
		}
		if n.Annotations == nil {
			n.Annotations = map[string]string{}
		}
		if n.Data == nil {
			n.Data = map[string][]byte{}
		}
		edit, last := strings.CutSuffix(edit, ", then delete")
		owner, isOwner := strings.CutPrefix(edit, "account ")
		uid, isUID := strings.CutSuffix(edit, " UID")
		switch {
		case isOwner:
			n.Annotations[corev1.ServiceAccountNameKey] = owner
		case isUID:
			w.annotate(n, uid)
		case edit == "a label":
			n.Labels = map[string]string{"example.com/label": "x"}
		case strings.HasPrefix(edit, "no "):
			delete(n.Data, strings.TrimPrefix(edit, "no "))
		default:
			n.Data[strings.TrimPrefix(edit, "another ")] = []byte(edit)
		}
		if _, err = w.cluster.UpdateSecret(w.user, n); err != nil || !last {
			return err
		}
		return w.cluster.DeleteSecret(w.user, ns, name, metav1.DeleteOptions{})
	})
}

func configMapStep(s *generate.Source, ns string) *eventStep {
	edit := generate.OneOf(s, "delete", "edit", "delete", "edit", "create", "strip", "add a key to", "strip", "describe", "add binary data to", "create", "hold", "hold, edit and delete")
	return step(fmt.Sprintf("%s ConfigMap %s/%s", edit, ns, rootCAMap), func(w *eventWorld) error {
		switch edit {
		case "delete":
			return w.cluster.DeleteConfigMap(w.user, ns, rootCAMap, metav1.DeleteOptions{})
		case "create":
			_, err := w.cluster.CreateConfigMap(w.user, &configMap{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: rootCAMap}, Data: map[string]string{"ca.crt": "mine"}})
			return err
		}
		m, err := w.cluster.GetConfigMap(w.user, ns, rootCAMap)
		if err != nil {
			return err
		}
		switch edit {
		case "edit", "hold, edit and delete":
			m.Data = map[string]string{"ca.crt": "mine"}
		case "add a key to":
			m.Data = map[string]string{"ca.crt": eventsRootCA, "more": "x"}
		case "strip":
			m.Annotations = nil
		case "describe":
			m.Annotations = map[string]string{"kubernetes.io/description": "mine"}
		case "add binary data to":
			m.BinaryData = map[string][]byte{"more": {1}}
		}
		if strings.HasPrefix(edit, "hold") {
			m.Finalizers = held(true)
		}
		if _, err = w.cluster.UpdateConfigMap(w.user, m); err != nil || !strings.HasSuffix(edit, "delete") {
			return err
		}
		return w.cluster.DeleteConfigMap(w.user, ns, rootCAMap, metav1.DeleteOptions{})
	})
}

// faultStep makes calls of controllers fail until the world has settled.
func faultStep(s *generate.Source, ns, name string) *eventStep {
	call := generate.OneOf(s, "update secrets", "update serviceaccounts", "update serviceaccounts", "delete secrets", "get secrets", "get serviceaccounts",
		"create serviceaccounts", "create configmaps", "update configmaps")
	verb, resource, _ := strings.Cut(call, " ")
	n := generate.OneOf(s, 1, 1, 2, 15)
	kind := generate.OneOf(s, "internal error", "lost answer", "conflict")
	switch {
	case kind == "conflict" && (verb != "update" || resource == "secrets"):
		// Who conflicts on a Secret has changed it, which makes an event of its own.
		kind = "internal error"
	case verb == "create" && resource == "serviceaccounts":
		// Otherwise a Secret may be looked at before its account is there again, which
		// is a matter of chance on both sides.
		kind = "lost answer"
	}
	text := fmt.Sprintf("the next %d attempts to %s fail: %s", n, call, kind)
	remove := s.Chance(40)
	if remove {
		text += fmt.Sprintf("; delete Secret %s/%s", ns, name)
	}
	return step(text, func(w *eventWorld) error {
		w.faults = append(w.faults, &eventFault{verb: verb, resource: resource, left: n, err: map[string]error{
			"internal error": apierrors.NewInternalError(fmt.Errorf("no")), "conflict": fault.Conflict, "lost answer": fault.AnswerLost,
		}[kind]})
		if remove {
			return w.cluster.DeleteSecret(w.user, ns, name, metav1.DeleteOptions{})
		}
		return nil
	})
}

// release removes the finalizers that hold what is in a namespace.
func (w *eventWorld) release(ns string) error {
	accounts, err := w.cluster.ListServiceAccounts(w.user, ns)
	if err != nil {
		return err
	}
	for _, a := range accounts {
		if a.Finalizers != nil {
			a.Finalizers = nil
			if _, err := w.cluster.UpdateServiceAccount(w.user, a); err != nil {
				return err
			}
		}
	}
	secrets, err := w.cluster.ListSecrets(w.user, ns)
	if err != nil {
		return err
	}
	for _, n := range secrets {
		if n.Finalizers != nil {
			n.Finalizers = nil
			if _, err := w.cluster.UpdateSecret(w.user, n); err != nil {
				return err
			}
		}
	}
	m, err := w.cluster.GetConfigMap(w.user, ns, rootCAMap)
	if err != nil {
		return err
	}
	m.Finalizers = nil
	_, err = w.cluster.UpdateConfigMap(w.user, m)
	return err
}

// annotate gives a Secret the UID annotation that which says.
func (w *eventWorld) annotate(n *secret, which string) {
	switch which {
	case "no":
		delete(n.Annotations, corev1.ServiceAccountUIDKey)
	case "an empty":
		n.Annotations[corev1.ServiceAccountUIDKey] = ""
	case "another":
		n.Annotations[corev1.ServiceAccountUIDKey] = foreignUID
	case "its":
		n.Annotations[corev1.ServiceAccountUIDKey] = foreignUID
		if a, err := w.cluster.GetServiceAccount(w.user, n.Namespace, n.Annotations[corev1.ServiceAccountNameKey]); err == nil {
			n.Annotations[corev1.ServiceAccountUIDKey] = string(a.UID)
		}
	}
}

// resourceOf names the resource of an object that upstream watches.
func resourceOf(object runtime.Object) string {
	switch object.(type) {
	case *namespace:
		return "namespaces"
	case *serviceAccount:
		return "serviceaccounts"
	case *secret:
		return "secrets"
	case *configMap:
		return "configmaps"
	}
	return ""
}

// user is the context of users' calls.
func userContext(ctx context.Context) context.Context { return fake.WithActor(ctx, userActor) }
