package store

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"sort"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/kubesa/serviceaccount/fake/internal/object"
)

// query is a list request that was understood.
type query struct {
	kind      *object.Kind
	namespace string
	labels    labels.Selector
	fields    fields.Selector
	limit     int64
	// Revision is the revision to list at; 0 means the current one.
	Revision uint64
	// NotOlder allows any revision from revision on.
	NotOlder bool
	// after is the storage key of the last object of the page before.
	after string
	// continued says that revision came from a continue token.
	continued bool
}

// continueToken is what a list's "continue" holds, in base64.
type continueToken struct {
	Revision uint64 `json:"rv"`
	After    string `json:"start"`
}

// ParseList parses the options of a list.
func ParseList(k *object.Kind, namespace string, opts metav1.ListOptions) (query, error) {
	q := query{kind: k, namespace: namespace, limit: opts.Limit}
	var err error
	if q.labels, q.fields, err = ParseSelectors(k, opts); err != nil {
		return query{}, err
	}
	// The API server answers these from its cache, or gets the one object: in one page.
	_, named := q.fields.RequiresExactMatch("metadata.name")
	_, placed := q.fields.RequiresExactMatch("metadata.namespace")
	if opts.ResourceVersion == "0" || named && (namespace != "" || placed || !k.Namespaced) {
		q.limit = 0
	}
	if opts.Continue != "" {
		if opts.ResourceVersion != "" && opts.ResourceVersion != "0" {
			return query{}, apierrors.NewBadRequest("specifying resource version is not allowed when using continue")
		}
		token, err := parseContinue(opts.Continue)
		if err != nil {
			return query{}, apierrors.NewBadRequest(fmt.Sprintf("invalid continue token: continue key is not valid: %v", err))
		}
		q.Revision, q.after, q.continued = token.Revision, token.After, true
		return q, nil
	}
	if q.Revision, err = ParseRevision(opts.ResourceVersion); err != nil {
		return query{}, apierrors.NewBadRequest("invalid resource version: " + err.Error())
	}
	switch opts.ResourceVersionMatch {
	case metav1.ResourceVersionMatchExact:
		if q.Revision == 0 {
			return query{}, apierrors.NewBadRequest("resourceVersionMatch \"Exact\" is forbidden for resourceVersion \"0\" or unset")
		}
	case "", metav1.ResourceVersionMatchNotOlderThan:
		q.NotOlder = true
	default:
		return query{}, apierrors.NewBadRequest(fmt.Sprintf("resourceVersionMatch %q is not supported", opts.ResourceVersionMatch))
	}
	return q, nil
}

// ParseRevision parses a resourceVersion; an empty one is 0. The error is what the API
// server says about that of a get or a watch.
func ParseRevision(s string) (uint64, error) {
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0, &apierrors.StatusError{ErrStatus: metav1.Status{
			Status: metav1.StatusFailure, Code: http.StatusInternalServerError, Reason: metav1.StatusReasonUnknown,
			Message: field.Invalid(field.NewPath("resourceVersion"), s, err.Error()).Error(),
		}}
	}
	return n, nil
}

func parseContinue(s string) (continueToken, error) {
	var token continueToken
	data, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return token, err
	}
	err = json.Unmarshal(data, &token)
	if err == nil && (token.Revision == 0 || token.After == "") {
		err = fmt.Errorf("incomplete")
	}
	return token, err
}

func (t continueToken) String() string {
	data, err := json.Marshal(t)
	if err != nil { // a number and a string
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(data)
}

// ParseSelectors parses label and field selectors. Fields that the kind doesn't
// have are a BadRequest.
func ParseSelectors(k *object.Kind, opts metav1.ListOptions) (labels.Selector, fields.Selector, error) {
	ls, err := labels.Parse(opts.LabelSelector)
	if err != nil {
		return nil, nil, apierrors.NewBadRequest(err.Error())
	}
	fs, err := fields.ParseSelector(opts.FieldSelector)
	if err != nil {
		return nil, nil, apierrors.NewBadRequest(err.Error())
	}
	known := object.FieldsOf(k, k.New())
	fs, err = fs.Transform(func(name, value string) (string, string, error) {
		if k == object.Pods && name == "spec.host" { // as it was called once
			name = "spec.nodeName"
		}
		switch {
		case known.Has(name):
			return name, value, nil
		case k == object.ConfigMaps || k == object.ServiceAccounts: // which have no fields of their own
			return "", "", fmt.Errorf("%q is not a known field selector: only \"metadata.name\", \"metadata.namespace\"", name)
		}
		return "", "", fmt.Errorf("field label not supported: %s", name)
	})
	if err != nil {
		return nil, nil, apierrors.NewBadRequest(err.Error())
	}
	return ls, fs, nil
}

// Selects reports whether both selectors choose o.
func Selects(k *object.Kind, ls labels.Selector, fs fields.Selector, o object.Object) bool {
	return (ls.Empty() || ls.Matches(labels.Set(o.GetLabels()))) &&
		(fs.Empty() || fs.Matches(object.FieldsOf(k, o)))
}

// CheckRevision refuses a revision that is not there any more, or not yet.
func (h *History) CheckRevision(q query) error {
	switch {
	case q.Revision > h.Last():
		return TooLarge(q.Revision, h.Last())
	case q.NotOlder || q.Revision >= h.Compacted:
		return nil
	case q.continued:
		return apierrors.NewResourceExpired("The provided continue parameter is too old to display a consistent list result. You must start a new list without the continue parameter.")
	}
	return apierrors.NewResourceExpired(fmt.Sprintf("The resourceVersion for the provided list is too old: %d", q.Revision))
}

// TooLarge answers a client that knows the future: it talked to another server.
func TooLarge(revision, last uint64) error {
	err := apierrors.NewTimeoutError(fmt.Sprintf("Too large resource version: %d, current: %d", revision, last), 1)
	err.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: metav1.CauseTypeResourceVersionTooLarge, Message: "Too large resource version"}}
	return err
}

// Run answers q from snap.
func (q query) Run(snap Snapshot) object.Page {
	all := snap.list(q.kind, q.namespace)
	if q.after != "" {
		all = all[sort.Search(len(all), func(i int) bool { return storageKey(all[i]) > q.after }):]
	}
	found := object.Page{Meta: metav1.ListMeta{ResourceVersion: FormatRevision(snap.revision)}}
	selective := !q.labels.Empty() || !q.fields.Empty()
	for i, o := range all {
		if q.limit > 0 && int64(len(found.Items)) == q.limit {
			found.Meta.Continue = continueToken{snap.revision, storageKey(found.Items[len(found.Items)-1])}.String()
			if !selective { // with selectors, nobody has counted
				rest := int64(len(all) - i)
				found.Meta.RemainingItemCount = &rest
			}
			break
		}
		if !selective || Selects(q.kind, q.labels, q.fields, o) {
			found.Items = append(found.Items, o)
		}
	}
	return found
}
