package webhook_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/kubesa/serviceaccount/admission"
	"github.com/kubesa/serviceaccount/admission/internal/admissiontest"
	"github.com/kubesa/serviceaccount/admission/webhook"
)

// The objects of the tests.
var (
	account       = admissiontest.Account
	create        = admissiontest.Create
	debug         = admissiontest.Debug
	enforces      = admissiontest.Enforces
	fixedName     = admissiontest.FixedName
	forbidden     = admissiontest.Forbidden
	have          = admissiontest.Have
	limit         = admissiontest.Limit
	mirror        = admissiontest.Mirror
	plugin        = admissiontest.Plugin
	pod           = admissiontest.Pod
	pulls         = admissiontest.Pulls
	randomPlugin  = admissiontest.RandomPlugin
	randomPod     = admissiontest.RandomPod
	runsAs        = admissiontest.RunsAs
	secretEnv     = admissiontest.SecretEnv
	secretEnvFrom = admissiontest.SecretEnvFrom
	secretVolume  = admissiontest.SecretVolume
	tokenMount    = admissiontest.TokenMount
	unwrapped     = admissiontest.Unwrapped
	withMounts    = admissiontest.WithMounts
	withVolumes   = admissiontest.WithVolumes
)

const reviewUID = "3a1c7a43-6e6b-4a39-9dd6-2cf2ac6f4f6c"

// reviewOf returns what the API server sends: a request to create object, with the
// changes.
func reviewOf(object string, changes ...func(*admissionv1.AdmissionRequest)) string {
	r := &admissionv1.AdmissionRequest{
		UID:       reviewUID,
		Kind:      metav1.GroupVersionKind{Version: "v1", Kind: "Pod"},
		Resource:  metav1.GroupVersionResource{Version: "v1", Resource: "pods"},
		Name:      "web",
		Namespace: "shop",
		Operation: admissionv1.Create,
	}
	if object != "" {
		r.Object.Raw = []byte("0")
	}
	for _, change := range changes {
		change(r)
	}
	data, err := json.Marshal(&admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"}, Request: r,
	})
	if err != nil {
		panic(err)
	}
	// The object goes in as it is, not compacted.
	return strings.Replace(string(data), `"object":0`, `"object":`+object, 1)
}

func ephemeralUpdate(r *admissionv1.AdmissionRequest) {
	r.Operation, r.SubResource = admissionv1.Update, "ephemeralcontainers"
}

func rawPod(t testing.TB, p *corev1.Pod) string {
	t.Helper()
	p = p.DeepCopy()
	p.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}
	data, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// post sends body to h as the API server would.
func post(h http.Handler, body string, changes ...func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/admit?timeout=10s", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	for _, change := range changes {
		change(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// respond sends body to h and returns its response to the review.
func respond(t testing.TB, h http.Handler, body string) *admissionv1.AdmissionResponse {
	t.Helper()
	w := post(h, body)
	if w.Code != http.StatusOK {
		t.Fatalf("got HTTP %d %s, want 200", w.Code, w.Body)
	}
	var got admissionv1.AdmissionReview
	dec := json.NewDecoder(bytes.NewReader(w.Body.Bytes()))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&got); err != nil {
		t.Fatalf("the answer %s: %v", w.Body, err)
	}
	if got.Response == nil || got.APIVersion != "admission.k8s.io/v1" || got.Kind != "AdmissionReview" || got.Request != nil {
		t.Fatalf("the answer is %s, want an AdmissionReview of v1 with a response only", w.Body)
	}
	if got.Response.UID != reviewUID {
		t.Fatalf("the answer has the uid %q, want %q", got.Response.UID, reviewUID)
	}
	if (got.Response.PatchType != nil) != (got.Response.Patch != nil) || got.Response.Patch != nil && !got.Response.Allowed {
		t.Fatalf("the answer %s has a patch without a type, or the other way round, or though it refuses", w.Body)
	}
	if strings.Contains(w.Body.String(), `"warnings":`) != (len(got.Response.Warnings) > 0) {
		t.Fatalf("the answer %s has warnings that are none", w.Body)
	}
	return got.Response
}

func newHandler(t testing.TB, p *admission.Plugin, cfg webhook.Config) http.Handler {
	t.Helper()
	h, err := webhook.New(p, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func handlerOf(t testing.TB, o *admissiontest.Objects, changes ...func(*admission.Config)) http.Handler {
	return newHandler(t, plugin(t, o, changes...), webhook.Config{})
}

// bigPod is a pod as API servers send it, with everything that defaulting and managed
// fields add.
func bigPod(containers int) *corev1.Pod {
	on, mode, grace, uid := true, int32(420), int64(30), int64(1000)
	p := pod(func(p *corev1.Pod) {
		p.GenerateName, p.Name = "web-6d4b75cb6d-", ""
		p.Labels = map[string]string{"app": "web", "pod-template-hash": "6d4b75cb6d"}
		p.Annotations = map[string]string{"prometheus.io/scrape": "true", "prometheus.io/port": "9090"}
		p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "web-6d4b75cb6d", UID: "7d4f1f7e-f2f9-4c17-a5f0-8a6d1d0c2b2e", Controller: &on, BlockOwnerDeletion: &on}}
		p.ManagedFields = []metav1.ManagedFieldsEntry{{
			Manager: "kube-controller-manager", Operation: "Update", APIVersion: "v1", FieldsType: "FieldsV1",
			FieldsV1: metav1.NewFieldsV1(`{"f:metadata":{"f:generateName":{},"f:labels":{".":{},"f:app":{},"f:pod-template-hash":{}},"f:ownerReferences":{".":{},"k:{\"uid\":\"7d4f1f7e-f2f9-4c17-a5f0-8a6d1d0c2b2e\"}":{}}},"f:spec":{"f:containers":{"k:{\"name\":\"c0\"}":{".":{},"f:image":{},"f:imagePullPolicy":{},"f:name":{},"f:ports":{".":{},"k:{\"containerPort\":8080,\"protocol\":\"TCP\"}":{".":{},"f:containerPort":{},"f:protocol":{}}},"f:resources":{},"f:terminationMessagePath":{},"f:terminationMessagePolicy":{}}},"f:dnsPolicy":{},"f:enableServiceLinks":{},"f:restartPolicy":{},"f:schedulerName":{},"f:securityContext":{},"f:terminationGracePeriodSeconds":{}}}`),
		}}
		p.Spec.RestartPolicy, p.Spec.DNSPolicy, p.Spec.SchedulerName = "Always", "ClusterFirst", "default-scheduler"
		p.Spec.TerminationGracePeriodSeconds, p.Spec.EnableServiceLinks = &grace, &on
		p.Spec.SecurityContext = &corev1.PodSecurityContext{}
		p.Spec.Volumes = []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
			LocalObjectReference: corev1.LocalObjectReference{Name: "settings"}, DefaultMode: &mode,
		}}}}
		p.Spec.Tolerations = []corev1.Toleration{{Key: "node.kubernetes.io/not-ready", Operator: "Exists", Effect: "NoExecute", TolerationSeconds: &grace}}
		p.Spec.Containers = nil
	})
	for i := range containers {
		p.Spec.Containers = append(p.Spec.Containers, corev1.Container{
			Name: fmt.Sprintf("c%d", i), Image: "registry.example.com/shop/web:1.2.3", ImagePullPolicy: "IfNotPresent",
			Command: []string{"/bin/web"}, Args: []string{"--listen=:8080", "--log-level=info"},
			Ports:                    []corev1.ContainerPort{{ContainerPort: 8080, Protocol: "TCP"}},
			Env:                      []corev1.EnvVar{{Name: "MODE", Value: "production"}, {Name: "REGION", Value: "eu-central-1"}},
			VolumeMounts:             []corev1.VolumeMount{{Name: "data", MountPath: "/data"}},
			TerminationMessagePath:   "/dev/termination-log",
			TerminationMessagePolicy: "File",
			LivenessProbe:            &corev1.Probe{InitialDelaySeconds: 5, TimeoutSeconds: 1, PeriodSeconds: 10, SuccessThreshold: 1, FailureThreshold: 3, ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/healthz", Scheme: "HTTP"}}},
			SecurityContext:          &corev1.SecurityContext{RunAsUser: &uid, RunAsNonRoot: &on, Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}},
		})
	}
	return p
}

// bigReview is the review of a bigPod.
func bigReview(t testing.TB, containers int) string {
	return reviewOf(rawPod(t, bigPod(containers)), func(r *admissionv1.AdmissionRequest) {
		r.Name = ""
		r.RequestKind, r.RequestResource = &r.Kind, &r.Resource
		r.UserInfo.Username = "system:serviceaccount:kube-system:replicaset-controller"
		r.UserInfo.Groups = []string{"system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"}
		r.DryRun = new(bool)
		r.Options = runtime.RawExtension{Raw: []byte(`{"kind":"CreateOptions","apiVersion":"meta.k8s.io/v1"}`)}
	})
}
