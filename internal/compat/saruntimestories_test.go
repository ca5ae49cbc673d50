package compat

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

func eventually(t *testing.T, check func() error) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if err = check(); err == nil {
			return
		}
	}
	t.Fatal(err)
}

// A userStory writes with c, and waits for what the controllers make of it.
type userStory struct {
	*testing.T
	c      client.Client
	settle func(context.Context) error // gives the controllers time
	ns     string
}

// stories are what a user of a cluster sees of the controllers.
var stories = []struct {
	name string
	tell func(userStory)
}{
	{"an account that is deleted comes back", userStory.accounts},               // SAC-1, SAC-15
	{"a token Secret is filled, and ends with its account", userStory.tokens},   // CTL-41, CTL-21
	{"the Secrets of an earlier account are deleted", userStory.earlierAccount}, // CTL-47
	{"a reference to a deleted Secret is dropped", userStory.references},        // CTL-60
	{"a Secret of nobody is deleted, others aren't touched", userStory.orphans}, // CTL-45
	{"the root CA is published and kept", userStory.rootCA},                     // RCA-1, RCA-3
}

func runStories(t *testing.T, c client.Client, settle func(context.Context) error) {
	for _, s := range stories {
		t.Run(s.name, func(t *testing.T) {
			ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "story-"}}
			if err := c.Create(t.Context(), ns); err != nil {
				t.Fatal(err)
			}
			s.tell(userStory{t, c, settle, ns.Name})
		})
	}
}

// until waits until check returns nil.
func (s userStory) until(check func() error) {
	s.Helper()
	eventually(s.T, func() error {
		if err := s.settle(s.Context()); err != nil {
			s.Fatal(err)
		}
		return check()
	})
}

func (s userStory) create(o client.Object) {
	s.Helper()
	if err := s.c.Create(s.Context(), o); err != nil {
		s.Fatal(err)
	}
}

func (s userStory) delete(o client.Object) {
	s.Helper()
	if err := s.c.Delete(s.Context(), o); err != nil {
		s.Fatal(err)
	}
}

func (s userStory) get(name string, o client.Object) error {
	return s.c.Get(s.Context(), client.ObjectKey{Namespace: s.ns, Name: name}, o)
}

// gone returns an error while there is an object of that name.
func (s userStory) gone(name string, o client.Object) func() error {
	return func() error {
		if err := s.get(name, o); !apierrors.IsNotFound(err) {
			return fmt.Errorf("%T %s: %v, want NotFound", o, name, err)
		}
		return nil
	}
}

func (s userStory) account(name string) *corev1.ServiceAccount {
	return &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: s.ns, Name: name}}
}

func (s userStory) secret(name, account string) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.ns, Name: name, Annotations: map[string]string{corev1.ServiceAccountNameKey: account}},
		Type:       corev1.SecretTypeServiceAccountToken,
	}
}

// filled returns an error until the Secret has a token that the API server accepts.
func (s userStory) filled(name string) func() error {
	return func() error {
		var secret corev1.Secret
		if err := s.get(name, &secret); err != nil {
			return err
		}
		if len(secret.Data["token"]) == 0 || len(secret.Data["ca.crt"]) == 0 {
			return errors.New("the Secret isn't filled")
		}
		review := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: string(secret.Data["token"])}}
		if err := s.c.Create(s.Context(), review); err != nil {
			return err
		}
		if want := "system:serviceaccount:" + s.ns + ":" + secret.Annotations[corev1.ServiceAccountNameKey]; review.Status.User.Username != want {
			return fmt.Errorf("the token is that of %q (%s), want %q", review.Status.User.Username, review.Status.Error, want)
		}
		return nil
	}
}

func (s userStory) accounts() {
	var first, second corev1.ServiceAccount
	s.until(func() error { return s.get("default", &first) })
	s.delete(&first)
	s.until(func() error { return s.get("default", &second) })
	if first.UID == second.UID {
		s.Error("it is the same account")
	}
}

func (s userStory) tokens() {
	account := s.account("builder")
	s.create(account)
	s.create(s.secret("token", "builder"))
	s.until(s.filled("token"))
	s.delete(account)
	s.until(s.gone("token", &corev1.Secret{}))
}

func (s userStory) earlierAccount() {
	account := s.account("builder")
	s.create(account)
	s.create(s.secret("token", "builder"))
	s.until(s.filled("token"))
	s.delete(account)
	s.create(s.account("builder"))
	s.until(s.gone("token", &corev1.Secret{}))
	s.create(s.secret("token", "builder"))
	s.until(s.filled("token"))
}

func (s userStory) references() {
	s.create(s.account("builder"))
	secret := s.secret("token", "builder")
	s.create(secret)
	s.until(s.filled("token"))
	account := s.account("builder")
	s.until(func() error {
		if err := s.get("builder", account); err != nil {
			return err
		}
		account.Secrets = []corev1.ObjectReference{{Name: "token"}, {Name: "other"}}
		return s.c.Update(s.Context(), account)
	})
	s.delete(secret)
	s.until(func() error {
		if err := s.get("builder", account); err != nil || len(account.Secrets) != 1 || account.Secrets[0].Name != "other" {
			return fmt.Errorf("the account lists %v (%v), want only the other Secret", account.Secrets, err)
		}
		return nil
	})
}

func (s userStory) orphans() {
	other := s.secret("other", "nobody")
	other.Type = corev1.SecretTypeOpaque
	s.create(other)
	s.create(s.secret("orphan", "nobody"))
	s.until(s.gone("orphan", &corev1.Secret{}))
	if err := s.get("other", other); err != nil || len(other.Data) > 0 {
		s.Errorf("the Secret of another type: %v, %v", other.Data, err)
	}
}

func (s userStory) rootCA() {
	published := func(in *corev1.ConfigMap) func() error {
		return func() error {
			if err := s.get("kube-root-ca.crt", in); err != nil {
				return err
			}
			if in.Data["ca.crt"] != eventsRootCA || len(in.Data) != 1 {
				return fmt.Errorf("the ConfigMap has %v", in.Data)
			}
			return nil
		}
	}
	var first, second corev1.ConfigMap
	s.until(published(&first))
	first.Data = map[string]string{"ca.crt": "mine"}
	if err := s.c.Update(s.Context(), &first); err != nil {
		s.Fatal(err)
	}
	s.until(published(&second))
	s.delete(&second)
	s.until(published(&first))
}
