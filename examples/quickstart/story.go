package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// The cast of the story.
const (
	namespace   = "shop"
	accountName = "builder"
	registry    = "registry-login"
	firstToken  = "builder-token"
	secondToken = "builder-token-2"
)

// A story is told in steps; each does something and shows the result.
type story struct {
	*plane
	files  *keyFiles
	output string // the format of pods
	out    io.Writer
	number int    // of the current step
	token  string // of the Secret firstToken
}

// tellStory tells the whole story. An error means that something did not happen
// as told.
func tellStory(ctx context.Context, opts options, out io.Writer) error {
	files, err := newKeyFiles()
	if err != nil {
		return err
	}
	defer files.remove()
	signer, set, err := files.load()
	if err != nil {
		return err
	}
	p, err := newPlane(opts, signer, set)
	if err != nil {
		return err
	}
	s := &story{plane: p, files: files, output: opts.output, out: out}
	s.printf("Managing Service Accounts, on a cluster in memory.\n")
	for _, step := range []func(context.Context) error{
		s.namespaceAppears,
		s.podWithoutAccount,
		s.podWithUnknownAccount,
		s.pullSecretsArrive,
		s.tokenSecretIsFilled,
		s.tokenAuthenticates,
		s.secretIsDeleted,
		s.accountIsDeleted,
		s.keysDidIt,
	} {
		if err := step(ctx); err != nil {
			return fmt.Errorf("step %d: %w", s.number, err)
		}
	}
	return nil
}

func (s *story) namespaceAppears(ctx context.Context) error {
	s.step("A namespace appears, and the ServiceAccounts controller gives it the account %q.", "default")
	_, err := s.cluster.CreateNamespace(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}})
	if err != nil {
		return err
	}
	if err := s.settle(ctx); err != nil {
		return err
	}
	account, err := s.cluster.GetServiceAccount(ctx, namespace, "default")
	if err != nil {
		return err
	}
	return s.show(account)
}

func (s *story) podWithoutAccount(ctx context.Context) error {
	s.step("A pod that names no account is admitted: it gets the account, the token's volume and its mount.")
	return s.showAdmission(ctx, newPod("web", ""))
}

func (s *story) podWithUnknownAccount(ctx context.Context) error {
	s.step("A pod that names an account which does not exist is rejected.")
	_, err := s.admit(ctx, newPod("web", "ghost"))
	denial, ok := errors.AsType[*apierrors.StatusError](err)
	if !ok {
		return fmt.Errorf("got the error %v, want a denial", err)
	}
	s.text(fmt.Sprintf("%d %s\n%s\n", denial.ErrStatus.Code, denial.ErrStatus.Reason, denial.ErrStatus.Message))
	return nil
}

func (s *story) pullSecretsArrive(ctx context.Context) error {
	s.step("The account %q has an image pull secret, and its pods get it.", accountName)
	account, err := s.cluster.CreateServiceAccount(ctx, &corev1.ServiceAccount{
		ObjectMeta:       metav1.ObjectMeta{Name: accountName, Namespace: namespace},
		ImagePullSecrets: []corev1.LocalObjectReference{{Name: registry}},
	})
	if err != nil {
		return err
	}
	if err := s.settle(ctx); err != nil {
		return err
	}
	if err := s.show(account); err != nil {
		return err
	}
	return s.showAdmission(ctx, newPod("build", accountName))
}

func (s *story) tokenSecretIsFilled(ctx context.Context) error {
	s.step("A Secret of type %s names the account, and the token controller fills it.", corev1.SecretTypeServiceAccountToken)
	before, after, err := s.createTokenSecret(ctx, firstToken)
	if err != nil {
		return err
	}
	s.token = string(after.Data[corev1.ServiceAccountTokenKey])
	text, err := diffManifests(before, after, fullDiff)
	s.text(text)
	return err
}

func (s *story) tokenAuthenticates(ctx context.Context) error {
	s.step("The token in the Secret authenticates as the account.")
	return s.showAuthentication(ctx, "the Secret "+firstToken, s.token)
}

func (s *story) secretIsDeleted(ctx context.Context) error {
	s.step("The Secret is deleted, and its token is rejected from that moment on.")
	if err := s.cluster.DeleteSecret(ctx, namespace, firstToken, metav1.DeleteOptions{}); err != nil {
		return err
	}
	return s.showRejection(ctx, "the Secret "+firstToken, s.token)
}

func (s *story) accountIsDeleted(ctx context.Context) error {
	s.step("The account is deleted: the controller deletes its other token Secrets, and no token of it is accepted any more.")
	_, secret, err := s.createTokenSecret(ctx, secondToken)
	if err != nil {
		return err
	}
	inSecret := string(secret.Data[corev1.ServiceAccountTokenKey])
	requested, err := s.requester.Create(ctx, namespace, accountName, &authenticationv1.TokenRequest{})
	if err != nil {
		return err
	}
	life := time.Until(requested.Status.ExpirationTimestamp.Time).Round(time.Minute)
	s.text(fmt.Sprintf("First it gets a second token Secret, and from a TokenRequest a token for %v. Both are accepted.\n", life))
	for _, token := range []string{inSecret, requested.Status.Token} {
		if _, err := s.authenticator.Authenticate(ctx, token); err != nil {
			return err
		}
	}
	if err := s.cluster.DeleteServiceAccount(ctx, namespace, accountName, metav1.DeleteOptions{}); err != nil {
		return err
	}
	if err := s.settle(ctx); err != nil {
		return err
	}
	_, err = s.cluster.GetSecret(ctx, namespace, secondToken)
	if !apierrors.IsNotFound(err) {
		return fmt.Errorf("the Secret is still there, want it gone: %w", err)
	}
	s.text(fmt.Sprintf("get secret %s: %v\n", secondToken, err))
	if err := s.showRejection(ctx, "the Secret "+secondToken, inSecret); err != nil {
		return err
	}
	return s.showRejection(ctx, "the TokenRequest", requested.Status.Token)
}

// createTokenSecret returns a Secret for the token of the account as it was
// created and as the controller filled it.
func (s *story) createTokenSecret(ctx context.Context, name string) (before, after *corev1.Secret, err error) {
	before, err = s.cluster.CreateSecret(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Namespace: namespace,
			Annotations: map[string]string{corev1.ServiceAccountNameKey: accountName},
		},
		Type: corev1.SecretTypeServiceAccountToken,
	})
	if err != nil {
		return nil, nil, err
	}
	if err := s.settle(ctx); err != nil {
		return nil, nil, err
	}
	after, err = s.cluster.GetSecret(ctx, namespace, name)
	return before, after, err
}

// newPod returns a pod as a user writes it.
func newPod(name, account string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace},
		Spec: corev1.PodSpec{
			ServiceAccountName: account,
			Containers:         []corev1.Container{{Name: name, Image: "registry.example/" + name + ":1.0"}},
		},
	}
}

func (s *story) showAdmission(ctx context.Context, pod *corev1.Pod) error {
	before := pod.DeepCopy()
	plan, err := s.admit(ctx, pod)
	if err != nil {
		return err
	}
	text, err := showPod(s.output, before, pod, plan, fullDiff)
	s.text(text)
	return err
}

func (s *story) showAuthentication(ctx context.Context, where, token string) error {
	identity, err := s.authenticator.Authenticate(ctx, token)
	if err != nil {
		return err
	}
	text, err := yaml.Marshal(identity.UserInfo())
	s.text(fmt.Sprintf("token of %s: accepted\n%s", where, text))
	return err
}

func (s *story) showRejection(ctx context.Context, where, token string) error {
	identity, err := s.authenticator.Authenticate(ctx, token)
	if err == nil {
		return fmt.Errorf("the token of %s still authenticates as %s", where, identity.Username())
	}
	s.text(fmt.Sprintf("token of %s: rejected: %v\n", where, err))
	return nil
}

func (s *story) show(o object) error {
	text, err := manifest(o)
	s.text(text)
	return err
}

// step begins the next step with one sentence.
func (s *story) step(format string, args ...any) {
	s.number++
	s.printf("\n%d. "+format+"\n", append([]any{s.number}, args...)...)
}

// text prints a block, indented.
func (s *story) text(block string) {
	if block == "" {
		return
	}
	s.printf("\n")
	for line := range strings.Lines(block) {
		s.printf("   %s\n", strings.TrimRight(line, "\n"))
	}
}

// printf writes to the output. If that fails there is nobody left to tell.
func (s *story) printf(format string, args ...any) { fmt.Fprintf(s.out, format, args...) }
