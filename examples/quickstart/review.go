package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/admission"
	"github.com/kubesa/serviceaccount/keys"
)

// An outcome is what became of one document.
type outcome string

const (
	admitted   outcome = "admitted"   // a pod, or the pod of a template
	denied     outcome = "denied"     // by admission, or by the API
	broken     outcome = "broken"     // it can't be read
	template   outcome = "template"   // it has to be rendered first
	unchecked  outcome = "unchecked"  // it has pods, but isn't of a kind that this program knows
	created    outcome = "created"    // put into the cluster
	configured outcome = "configured" // it changes what was created before
	unchanged  outcome = "unchanged"  // it is what was created before
	assumed    outcome = "assumed"    // a namespace that the manifests use and don't have
	skipped    outcome = "skipped"    // not of a kind that service accounts have to do with
)

// A finding says what became of one document and why.
type finding struct {
	document
	outcome outcome
	reason  string      // for people; empty if there is nothing to say
	before  *corev1.Pod // the pod as it came
	pod     *corev1.Pod // the pod as admitted
	plan    admission.Decision
}

// deny sets the outcome of what the API, admission or a controller doesn't let through.
func (f *finding) deny(reason string) {
	f.outcome, f.reason = denied, reason
	f.explain()
}

// explain says that a finding is about a template, if it is.
func (f *finding) explain() {
	what := f.template
	if what == "" {
		what = denialTemplate(f.reason)
	}
	if what != "" {
		f.outcome, f.reason = template, "It looks like "+what+".\n"+f.reason
	}
}

// reviewManifests reports what a cluster would do to the manifests of opts. It
// returns errDenied if any is denied or can't be read.
func reviewManifests(ctx context.Context, opts options, stdin io.Reader, stdout io.Writer) error {
	key, err := keys.Generate(keys.ES256)
	if err != nil {
		return err
	}
	signer, err := keys.NewSigner(key)
	if err != nil {
		return err
	}
	set, err := keys.NewSet(key.Public())
	if err != nil {
		return err
	}
	p, err := newPlane(opts, signer, set)
	if err != nil {
		return err
	}
	findings, err := p.review(ctx, readManifests(opts.files, stdin), opts.namespace)
	if err != nil {
		return err
	}
	if err := report(stdout, opts.output, findings); err != nil {
		return err
	}
	if slices.ContainsFunc(findings, func(f finding) bool { return f.fails(opts.strictKinds) }) {
		return errDenied
	}
	return nil
}

// fails reports whether the finding is one for which the program fails.
func (f finding) fails(strictKinds bool) bool {
	switch f.outcome {
	case denied, broken, template:
		return true
	case unchecked:
		return strictKinds
	}
	return false
}

// review puts what is not a pod into the cluster, lets the controllers settle, and
// admits the pods. The findings are in the order of docs, after those about
// assumed namespaces.
func (p *plane) review(ctx context.Context, docs []document, namespace string) ([]finding, error) {
	findings := make([]finding, len(docs))
	for i, d := range docs {
		findings[i].document = d
		switch {
		case d.err != nil:
			findings[i].outcome, findings[i].reason = broken, d.err.Error()
			findings[i].explain()
		case d.unchecked != "":
			findings[i].outcome, findings[i].reason = unchecked, d.unchecked
		case d.skipped:
			findings[i].outcome = skipped
		default:
			clean(d.object, namespace)
			findings[i].name = fullName(d.object)
		}
	}
	all, err := p.storeNamespaces(ctx, findings)
	if err != nil {
		return nil, err
	}
	for i := range findings {
		if f := &findings[i]; f.outcome == "" && podTemplate(f.object) == nil && !isPod(f.object) {
			p.apply(ctx, f)
		}
	}
	if err := p.settle(ctx); err != nil {
		return nil, err
	}
	for i := range findings {
		f := &findings[i]
		switch {
		case f.outcome == "":
			p.decide(ctx, f)
		case f.outcome == created || f.outcome == configured || f.outcome == unchanged:
			p.noteController(ctx, f)
		}
	}
	return append(all, findings...), nil
}

// clean gives an object the namespace that kubectl would, and takes away what only
// the server sets and a copy of a live object has. UIDs stay: tokens refer to them.
func clean(o object, namespace string) {
	if _, ok := o.(*corev1.Namespace); !ok && o.GetNamespace() == "" {
		o.SetNamespace(namespace)
	}
	o.SetResourceVersion("")
	o.SetManagedFields(nil)
	o.SetSelfLink("")
}

// storeNamespaces stores the namespaces of the manifests, the four that every
// cluster has, and those that are only mentioned: these it returns.
func (p *plane) storeNamespaces(ctx context.Context, findings []finding) ([]finding, error) {
	for i := range findings {
		if _, ok := findings[i].object.(*corev1.Namespace); ok && findings[i].outcome == "" {
			p.apply(ctx, &findings[i])
		}
	}
	ensure := func(name string) (created bool, err error) {
		_, err = p.cluster.CreateNamespace(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
		if apierrors.IsAlreadyExists(err) || apierrors.IsInvalid(err) {
			return false, nil // an invalid name is reported with the object that has it
		}
		return err == nil, err
	}
	for _, name := range []string{"default", "kube-node-lease", "kube-public", "kube-system"} {
		if _, err := ensure(name); err != nil {
			return nil, err
		}
	}
	var mentioned []finding
	for i := range findings {
		f := &findings[i]
		if f.outcome != "" {
			continue
		}
		created, err := ensure(f.object.GetNamespace())
		if err != nil {
			return nil, err
		}
		if created {
			d := document{source: f.source, kind: corev1.SchemeGroupVersion.WithKind("Namespace"), name: f.object.GetNamespace()}
			mentioned = append(mentioned, finding{document: d, outcome: assumed, reason: "mentioned in the manifests, but not among them"})
		}
	}
	return mentioned, nil
}

// noteController says what the token controller did with a token Secret.
func (p *plane) noteController(ctx context.Context, f *finding) {
	secret, ok := f.object.(*corev1.Secret)
	if !ok || secret.Type != corev1.SecretTypeServiceAccountToken {
		return
	}
	account := secret.Annotations[corev1.ServiceAccountNameKey]
	now, err := p.cluster.GetSecret(ctx, secret.Namespace, secret.Name)
	switch {
	case apierrors.IsNotFound(err):
		reason := fmt.Sprintf("deleted by the token controller: there is no ServiceAccount %s/%s", secret.Namespace, account)
		if uid := secret.Annotations[corev1.ServiceAccountUIDKey]; uid != "" {
			reason += " with the UID " + uid
		}
		f.deny(reason)
	case err != nil:
		f.deny(err.Error())
	case len(secret.Data[corev1.ServiceAccountTokenKey]) == 0 && len(now.Data[corev1.ServiceAccountTokenKey]) > 0:
		f.reason = fmt.Sprintf("filled with a token of ServiceAccount %s/%s", secret.Namespace, account)
	}
}

// decide runs admission on the pod, or on the pod of the template, of a finding.
func (p *plane) decide(ctx context.Context, f *finding) {
	if err := checkMeta(f.object); err != nil {
		f.deny(err.Error())
		return
	}
	f.before = podOf(f.object)
	f.pod = f.before.DeepCopy()
	var err error
	if f.plan, err = p.admit(ctx, f.pod); err == nil {
		// The API server validates what admission makes of a pod.
		_, err = p.cluster.CoreV1().Pods(f.pod.Namespace).Create(ctx, f.pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	}
	if err != nil {
		f.pod = nil
		f.deny(inTemplate(f.object, err).Error())
		return
	}
	f.outcome = admitted
}

// inTemplate returns an error of the API server about the pod of a template as it says it
// of the object that has the template: there is no pod yet.
func inTemplate(o object, err error) error {
	invalid, ok := errors.AsType[*apierrors.StatusError](err)
	if isPod(o) || !ok || invalid.ErrStatus.Reason != metav1.StatusReasonInvalid {
		return err
	}
	path := "spec.template."
	switch o.(type) {
	case *corev1.PodTemplate:
		path = "template."
	case *batchv1.CronJob:
		path = "spec.jobTemplate.spec.template."
	}
	var problems []string
	for _, cause := range invalid.ErrStatus.Details.Causes {
		problems = append(problems, path+cause.Field+": "+cause.Message)
	}
	list := strings.Join(problems, ", ")
	if len(problems) > 1 {
		list = "[" + list + "]"
	}
	kind := o.GetObjectKind().GroupVersionKind().GroupKind()
	return fmt.Errorf("%s %q is invalid: %s", kind, o.GetName(), list)
}

func isPod(o object) bool {
	_, ok := o.(*corev1.Pod)
	return ok
}

// podOf returns o if it is a pod, or the pod that a controller would create from
// o's template.
func podOf(o object) *corev1.Pod {
	if pod, ok := o.(*corev1.Pod); ok {
		return pod
	}
	template := podTemplate(o).DeepCopy()
	pod := &corev1.Pod{ObjectMeta: template.ObjectMeta, Spec: template.Spec}
	pod.Namespace, pod.Name, pod.GenerateName = o.GetNamespace(), "", strings.TrimSuffix(o.GetName(), "-")+"-"
	if set, ok := o.(*appsv1.StatefulSet); ok {
		pod.Spec.Volumes = withClaims(pod.Spec.Volumes, set)
	}
	return pod
}

// withClaims returns volumes with those that the controller of a StatefulSet adds.
func withClaims(volumes []corev1.Volume, set *appsv1.StatefulSet) []corev1.Volume {
	for _, claim := range set.Spec.VolumeClaimTemplates {
		volumes = slices.DeleteFunc(volumes, func(v corev1.Volume) bool { return v.Name == claim.Name })
		source := &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim.Name + "-" + set.Name + "-0"}
		volumes = append(volumes, corev1.Volume{Name: claim.Name, VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: source}})
	}
	return volumes
}

// fullName returns namespace/name, or the name alone for what has no namespace.
func fullName(o object) string {
	name := o.GetName()
	if name == "" {
		name = o.GetGenerateName()
	}
	return strings.TrimPrefix(o.GetNamespace()+"/"+name, "/")
}
