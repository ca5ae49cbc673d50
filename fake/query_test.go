package fake_test

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubesa/serviceaccount/fake"
	"github.com/kubesa/serviceaccount/fake/fault"
)

func listed(list *corev1.SecretList) string {
	var names []string
	for _, s := range list.Items {
		names = append(names, s.Name)
	}
	return join(names)
}

func TestListSelectors(t *testing.T) {
	red := tokenSecret("red", "builder")
	red.Labels = map[string]string{"colour": "red", "size": "s"}
	blue := secretNamed("blue")
	blue.Labels = map[string]string{"colour": "blue"}
	c := newCI(t, red, blue, secretNamed("none"), &corev1.Secret{ObjectMeta: meta("a-b", "other")}, &corev1.Secret{ObjectMeta: meta("a", "first")})
	tests := []struct {
		name, namespace string
		opts            metav1.ListOptions
		want            string
	}{
		{"all in a namespace", "ci", metav1.ListOptions{}, "blue none red"},
		{"all, in the order of etcd", "", metav1.ListOptions{}, "other first blue none red"},
		{"label", "ci", metav1.ListOptions{LabelSelector: "colour=red"}, "red"},
		{"label in a set", "ci", metav1.ListOptions{LabelSelector: "colour in (red,blue),size!=s"}, "blue"},
		{"no label", "ci", metav1.ListOptions{LabelSelector: "!colour"}, "none"},
		{"type", "", metav1.ListOptions{FieldSelector: "type=kubernetes.io/service-account-token"}, "red"},
		{"name", "", metav1.ListOptions{FieldSelector: "metadata.name=other"}, "other"},
		{"not in a namespace", "", metav1.ListOptions{FieldSelector: "metadata.namespace!=ci"}, "other first"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			list := must[*corev1.SecretList](t)(c.CoreV1().Secrets(tt.namespace).List(t.Context(), tt.opts))
			if got := listed(list); got != tt.want || list.ResourceVersion != c.Revision() {
				t.Errorf("got %q at %s, want %q at %s", got, list.ResourceVersion, tt.want, c.Revision())
			}
		})
	}
}

func TestListPages(t *testing.T) {
	c := newCI(t)
	for i := range 7 {
		must[*corev1.Secret](t)(c.CreateSecret(t.Context(), secretNamed(fmt.Sprintf("s%d", i))))
	}
	read := func(between func()) (pages []string) {
		opts := metav1.ListOptions{Limit: 3}
		for {
			list := must[*corev1.SecretList](t)(c.CoreV1().Secrets("ci").List(t.Context(), opts))
			page := listed(list) + "@" + list.ResourceVersion
			if list.RemainingItemCount != nil {
				page += fmt.Sprintf("+%d", *list.RemainingItemCount)
			}
			pages = append(pages, page)
			if list.Continue == "" {
				return pages
			}
			opts.Continue = list.Continue
			between()
		}
	}
	if got, want := strings.Join(read(func() {}), ", "), "s0 s1 s2@8+4, s3 s4 s5@8+1, s6@8"; got != want {
		t.Errorf("pages are %s, want %s", got, want)
	}
	// What changes in between doesn't show.
	changed := false
	got := strings.Join(read(func() {
		if !changed {
			changed = true
			if err := c.DeleteSecret(t.Context(), "ci", "s4", metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
			must[*corev1.Secret](t)(c.CreateSecret(t.Context(), secretNamed("s55")))
		}
	}), ", ")
	if want := "s0 s1 s2@8+4, s3 s4 s5@8+1, s6@8"; got != want {
		t.Errorf("pages while things change are %s, want %s", got, want)
	}
}

func TestListAtARevision(t *testing.T) {
	c := newCI(t, secretNamed("a"), secretNamed("b"))
	list := func(opts metav1.ListOptions) (string, error) {
		found, err := c.CoreV1().Secrets("ci").List(t.Context(), opts)
		if err != nil {
			return "", err
		}
		return listed(found) + "@" + found.ResourceVersion, nil
	}
	exact := metav1.ListOptions{ResourceVersion: "2", ResourceVersionMatch: metav1.ResourceVersionMatchExact}
	for want, opts := range map[string]metav1.ListOptions{
		"a@2":   exact,
		"a b@3": {ResourceVersion: "2", ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan},
	} {
		if got, err := list(opts); got != want || err != nil {
			t.Errorf("list %+v = %s, %v, want %s", opts, got, err, want)
		}
	}
	first := must[*corev1.SecretList](t)(c.CoreV1().Secrets("ci").List(t.Context(), metav1.ListOptions{Limit: 1}))
	must[*corev1.Secret](t)(c.CreateSecret(t.Context(), secretNamed("c")))
	c.Compact()

	tests := []struct {
		opts   metav1.ListOptions
		reason metav1.StatusReason
		text   string
	}{
		{exact, metav1.StatusReasonExpired, "The resourceVersion for the provided list is too old: 2"},
		{metav1.ListOptions{Continue: first.Continue}, metav1.StatusReasonExpired, "The provided continue parameter is too old to display a consistent list result. You must start a new list without the continue parameter."},
		{metav1.ListOptions{Continue: "x"}, metav1.StatusReasonBadRequest, "invalid continue token: continue key is not valid: illegal base64 data at input byte 0"},
		{metav1.ListOptions{Continue: first.Continue, ResourceVersion: "3"}, metav1.StatusReasonBadRequest, "specifying resource version is not allowed when using continue"},
		{metav1.ListOptions{ResourceVersion: "99"}, metav1.StatusReasonTimeout, "Timeout: Too large resource version: 99, current: 4"},
		{metav1.ListOptions{LabelSelector: "a in"}, metav1.StatusReasonBadRequest, "unable to parse requirement: found '' expected: '('"},
		{metav1.ListOptions{ResourceVersion: "new"}, metav1.StatusReasonBadRequest, `invalid resource version: resourceVersion: Invalid value: "new": strconv.ParseUint: parsing "new": invalid syntax`},
		{metav1.ListOptions{FieldSelector: "data.a=b"}, metav1.StatusReasonBadRequest, "field label not supported: data.a"},
	}
	for _, tt := range tests {
		_, err := list(tt.opts)
		checkError(t, err, tt.reason, tt.text)
	}
	if got, err := list(metav1.ListOptions{ResourceVersion: "2"}); got != "a b c@4" || err != nil {
		t.Errorf("list not older than a compacted revision = %s, %v, want the current state", got, err)
	}
}

// F03
func TestWatchGone(t *testing.T) {
	c := newCI(t, secretNamed("a"))
	slow := must[*fake.Watch](t)(c.Watch(t.Context(), "secrets", "", metav1.ListOptions{ResourceVersion: "2"}))
	current := must[*fake.Watch](t)(c.Watch(t.Context(), "secrets", "", metav1.ListOptions{ResourceVersion: "2"}))
	must[*corev1.Secret](t)(c.CreateSecret(t.Context(), secretNamed("b")))
	current.Pending()
	c.Compact()
	_, err := c.Watch(t.Context(), "secrets", "", metav1.ListOptions{ResourceVersion: "2"})
	checkError(t, err, metav1.StatusReasonExpired, "too old resource version: 2 (3)")
	_, err = c.Watch(t.Context(), "secrets", "", metav1.ListOptions{ResourceVersion: "9"})
	checkError(t, err, metav1.StatusReasonTimeout, "Timeout: Too large resource version: 9, current: 3")

	must[*corev1.Secret](t)(c.CreateSecret(t.Context(), secretNamed("c")))
	if got := join(tell(current.Pending())); got != "ADDED c@4" {
		t.Errorf("a watch that kept up gets %q, want the next event", got)
	}
	event, err := slow.Next(t.Context())
	if status, ok := event.Object.(*metav1.Status); err != nil || event.Type != "ERROR" || !ok || status.Code != 410 || status.Reason != metav1.StatusReasonExpired {
		t.Errorf("a watch that fell behind gets %+v, %v, want a 410 Status", event, err)
	}
	if _, err := slow.Next(t.Context()); err != fake.ErrWatchClosed {
		t.Errorf("after that it gets %v, want ErrWatchClosed", err)
	}
}

func TestBookmarks(t *testing.T) {
	c := newCI(t, secretNamed("a"))
	yes := true
	w := must[*fake.Watch](t)(c.Watch(t.Context(), "secrets", "", metav1.ListOptions{SendInitialEvents: &yes, AllowWatchBookmarks: true, ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan}))
	quiet := must[*fake.Watch](t)(c.Watch(t.Context(), "secrets", "", metav1.ListOptions{}))
	events := w.Pending()
	if got := join(tell(events)); got != "ADDED a@2 BOOKMARK @2" || events[1].Object.(*corev1.Secret).Annotations["k8s.io/initial-events-end"] != "true" {
		t.Errorf("a streamed list is %s, want the secret and a bookmark that ends it", got)
	}
	must[*corev1.Namespace](t)(c.CreateNamespace(t.Context(), &corev1.Namespace{ObjectMeta: meta("", "cd")}))
	quiet.Pending()
	w.Pending()
	c.Bookmark()
	if got := join(tell(w.Pending())); got != "BOOKMARK @3" {
		t.Errorf("after Bookmark() the watch got %q, want the current revision", got)
	}
	if got := quiet.Pending(); len(got) != 0 {
		t.Errorf("a watch that did not ask for bookmarks got %s", join(tell(got)))
	}
}

func TestDropWatch(t *testing.T) {
	c := newCI(t, secretNamed("a"), secretNamed("b"))
	c.Inject(fault.Nth(1, "watch", "secrets", fault.DropWatch(1)))
	w := must[*fake.Watch](t)(c.Watch(t.Context(), "secrets", "", metav1.ListOptions{}))
	if got := join(tell(w.Pending())); got != "ADDED a@2" {
		t.Errorf("a watch that drops after one event got %q", got)
	}
	if _, err := w.Next(t.Context()); err != fake.ErrWatchClosed {
		t.Errorf("then it gets %v, want ErrWatchClosed", err)
	}
	w = must[*fake.Watch](t)(c.Watch(t.Context(), "secrets", "", metav1.ListOptions{ResourceVersion: "2"}))
	c.DropWatches()
	if _, err := w.Next(t.Context()); err != fake.ErrWatchClosed {
		t.Errorf("after DropWatches() Next = %v, want ErrWatchClosed", err)
	}
}
