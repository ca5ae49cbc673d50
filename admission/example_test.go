package admission_test

import (
	"context"
	"errors"
	"fmt"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/kubesa/serviceaccount/admission"
)

// accounts is the least that admission needs: a way to look accounts up.
type accounts map[string]*corev1.ServiceAccount

func (a accounts) GetServiceAccount(_ context.Context, namespace, name string) (*corev1.ServiceAccount, error) {
	if account, ok := a[namespace+"/"+name]; ok {
		return account, nil
	}
	return nil, apierrors.NewNotFound(schema.GroupResource{Resource: "serviceaccounts"}, name)
}

func ExamplePlugin_Admit() {
	plugin, err := admission.New(admission.Config{
		ServiceAccounts: accounts{"shop/default": {ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "default"}}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	pod := &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app"}}}}
	err = plugin.Admit(context.Background(), admission.Request{Operation: admissionv1.Create, Namespace: "shop", Pod: pod})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("account:", pod.Spec.ServiceAccountName)
	fmt.Println("mount:", pod.Spec.Containers[0].VolumeMounts[0].MountPath)

	// Output:
	// account: default
	// mount: /var/run/secrets/kubernetes.io/serviceaccount
}

// A denial is an error that an API server can return as it is.
func ExamplePlugin_Admit_denial() {
	plugin, err := admission.New(admission.Config{ServiceAccounts: accounts{}})
	if err != nil {
		fmt.Println(err)
		return
	}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec:       corev1.PodSpec{ServiceAccountName: "robot"},
	}
	err = plugin.Admit(context.Background(), admission.Request{Operation: admissionv1.Create, Namespace: "shop", Pod: pod})
	if denial, ok := errors.AsType[*apierrors.StatusError](err); ok {
		fmt.Println(denial.ErrStatus.Code, denial.ErrStatus.Reason)
		fmt.Println(denial.ErrStatus.Message)
	}

	// Output:
	// 403 Forbidden
	// pods "web" is forbidden: error looking up service account shop/robot: serviceaccount "robot" not found
}

// An account can limit the Secrets that its pods refer to.
func ExamplePlugin_Validate() {
	plugin, err := admission.New(admission.Config{ServiceAccounts: accounts{"shop/robot": {
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "shop", Name: "robot",
			Annotations: map[string]string{admission.EnforceAnnotation: "true"},
		},
		Secrets: []corev1.ObjectReference{{Name: "database"}},
	}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, secret := range []string{"database", "payroll"} {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Spec: corev1.PodSpec{
			ServiceAccountName: "robot",
			Volumes: []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{
				Secret: &corev1.SecretVolumeSource{SecretName: secret},
			}}},
		}}
		fmt.Println(plugin.Validate(context.Background(), admission.Request{Operation: admissionv1.Create, Namespace: "shop", Pod: pod}))
	}

	// Output:
	// <nil>
	// pods "web" is forbidden: volume with secret.secretName="payroll" is not allowed because service account robot does not reference that secret
}

// Every mistake in a Config is reported at once.
func ExampleNew() {
	_, err := admission.New(admission.Config{MountPath: "token"})
	fmt.Println(err)

	// Output:
	// admission: Config.ServiceAccounts is required, want what looks up ServiceAccounts
	// admission: Config.MountPath is "token", want an absolute, clean path other than /, without colons
}

// With the account at hand, no Plugin is needed.
func ExampleMutate() {
	account := &corev1.ServiceAccount{
		ObjectMeta:       metav1.ObjectMeta{Namespace: "shop", Name: "default"},
		ImagePullSecrets: []corev1.LocalObjectReference{{Name: "registry"}},
	}
	pod := &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app"}}}}
	cfg := admission.Config{NewName: func(base string) string { return base + "token" }}
	req := admission.Request{Operation: admissionv1.Create, Namespace: "shop", Pod: pod}
	if err := admission.Mutate(cfg, req, account, ""); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("volume:", pod.Spec.Volumes[0].Name)
	fmt.Println("pull secrets:", pod.Spec.ImagePullSecrets[0].Name)

	// Output:
	// volume: kube-api-access-token
	// pull secrets: registry
}

func ExampleCheck() {
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "robot"}}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec: corev1.PodSpec{
			ServiceAccountName: "robot",
			ImagePullSecrets:   []corev1.LocalObjectReference{{Name: "registry"}},
		},
	}
	req := admission.Request{Operation: admissionv1.Create, Namespace: "shop", Pod: pod}
	fmt.Println(admission.Check(admission.Config{LimitSecretReferences: true}, req, account))

	// Output:
	// pods "web" is forbidden: imagePullSecrets[0].name="registry" is not allowed because service account robot does not reference that imagePullSecret
}

// A token Secret is mounted only in pods of the account that it is annotated with.
func ExampleIsTokenOf() {
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "robot-token", Annotations: map[string]string{
			corev1.ServiceAccountNameKey: "robot",
		}},
		Type: corev1.SecretTypeServiceAccountToken,
	}
	for _, namespace := range []string{"shop", "bank"} {
		account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "robot"}}
		fmt.Println(namespace, admission.IsTokenOf(secret, account))
	}

	// Output:
	// shop true
	// bank false
}

func ExampleAccountName() {
	fmt.Println(admission.AccountName(admission.Config{}, &corev1.PodSpec{}))
	fmt.Println(admission.AccountName(admission.Config{}, &corev1.PodSpec{ServiceAccountName: "robot"}))

	// Output:
	// default
	// robot
}

// A decision says what admission would do, and why, without doing it.
func ExamplePlugin_Decide() {
	plugin, err := admission.New(admission.Config{
		ServiceAccounts: accounts{"shop/default": {ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "default"}}},
		NewName:         func(base string) string { return base + "token" },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	pod := &corev1.Pod{Spec: corev1.PodSpec{ServiceAccountName: "default", Containers: []corev1.Container{{Name: "app"}}}}
	decision, err := plugin.Decide(context.Background(), admission.Request{Operation: admissionv1.Create, Namespace: "shop", Pod: pod})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(decision)
	for _, edit := range decision.Edits {
		if mount, ok := edit.Value().(corev1.VolumeMount); ok {
			fmt.Println("container", edit.Container, "gets", mount.Name)
		}
	}

	// Output:
	// keep spec.serviceAccountName (the pod names default)
	// set spec.serviceAccount: default (it is the old name of spec.serviceAccountName)
	// add to spec.volumes: kube-api-access-token (it projects the token, the ConfigMap kube-root-ca.crt and the namespace)
	// add to spec.containers[0].volumeMounts: kube-api-access-token at /var/run/secrets/kubernetes.io/serviceaccount (container app has nothing mounted there)
	// keep spec.imagePullSecrets (the account has none either)
	// container 0 gets kube-api-access-token
}

// Strict closes gaps of Kubernetes' own plugin: here a Secret that a projected volume
// refers to.
func ExampleConfig_strict() {
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "robot"}}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Spec: corev1.PodSpec{
		ServiceAccountName: "robot",
		Volumes: []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
			Sources: []corev1.VolumeProjection{{Secret: &corev1.SecretProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "payroll"}}}},
		}}}},
	}}
	req := admission.Request{Operation: admissionv1.Create, Namespace: "shop", Pod: pod}
	for _, strict := range []bool{false, true} {
		fmt.Println(admission.Check(admission.Config{LimitSecretReferences: true, Strict: strict}, req, account))
	}

	// Output:
	// <nil>
	// pods "web" is forbidden: volume v with projected referencing secret.secretName="payroll" is not allowed because service account robot does not reference that secret
}
