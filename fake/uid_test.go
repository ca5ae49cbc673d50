package fake_test

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubesa/serviceaccount/fake"
)

// uidsOf returns the UIDs of c's first objects.
func uidsOf(t *testing.T, c *fake.Cluster) (uids []types.UID) {
	t.Helper()
	for _, name := range []string{"a", "b"} {
		ns := must[*corev1.Namespace](t)(c.CreateNamespace(t.Context(), &corev1.Namespace{ObjectMeta: meta("", name)}))
		secret := must[*corev1.Secret](t)(c.CreateSecret(t.Context(), &corev1.Secret{ObjectMeta: meta(name, "s")}))
		uids = append(uids, ns.UID, secret.UID)
	}
	return uids
}

func TestUIDsDiffer(t *testing.T) {
	form := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89][0-9a-f]{3}-[0-9a-f]{12}$`)
	first, second := newAuthority(t, fake.AuthorityConfig{}), newAuthority(t, fake.AuthorityConfig{})
	clusters := []*fake.Cluster{
		first.Cluster, second.Cluster, new(fake.Cluster), fake.New(), {UIDSeed: 1}, {UIDSeed: 2}, {UIDSeed: 3}, {UIDSeed: 1<<64 - 1}, {UIDSeed: 1 << 63}, {UIDSeed: 1 << 32}, {UIDSeed: 1 << 16},
	}
	seen := map[types.UID]int{}
	for i, c := range clusters {
		for _, uid := range uidsOf(t, c) {
			if other, ok := seen[uid]; ok {
				t.Errorf("the clusters %d and %d have the UID %s", other, i, uid)
			}
			if !form.MatchString(string(uid)) {
				t.Errorf("the UID %q doesn't look like one", uid)
			}
			seen[uid] = i
		}
	}
}

func TestUIDSeed(t *testing.T) {
	one, other := uidsOf(t, &fake.Cluster{UIDSeed: 7}), uidsOf(t, &fake.Cluster{UIDSeed: 7})
	for i := range one {
		if one[i] != other[i] {
			t.Errorf("with the same seed the UIDs are %q and %q", one, other)
		}
	}
}

// A UID that an object was loaded with is not given again.
func TestUIDsOfLoadedObjects(t *testing.T) {
	backup := uidsOf(t, &fake.Cluster{UIDSeed: 7})
	c := &fake.Cluster{UIDSeed: 7}
	loaded := []runtime.Object{
		&corev1.Node{ObjectMeta: meta("", "new")}, // comes first, and takes none of those
		&corev1.Secret{ObjectMeta: meta("x", "1")}, &corev1.Secret{ObjectMeta: meta("x", "2")},
	}
	loaded[1].(*corev1.Secret).UID, loaded[2].(*corev1.Secret).UID = backup[0], backup[2]
	if err := c.Load(loaded...); err != nil {
		t.Fatal(err)
	}
	seen := map[types.UID]bool{backup[0]: true, backup[2]: true}
	for _, uid := range append(uidsOf(t, c), must[*corev1.Node](t)(c.GetNode(t.Context(), "new")).UID) {
		if seen[uid] {
			t.Errorf("the UID %s was given twice", uid)
		}
		seen[uid] = true
	}
}

// Two processes that test side by side, such as two packages against one server, have
// different UIDs, and with a seed the same.
func TestUIDsOfProcesses(t *testing.T) {
	const childOf = "FAKE_UID_SEED"
	if seed, ok := os.LookupEnv(childOf); ok {
		number := must[uint64](t)(strconv.ParseUint(seed, 10, 64))
		fmt.Println("UIDs", uidsOf(t, &fake.Cluster{UIDSeed: number}))
		return
	}
	run := func(seed string) string {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestUIDsOfProcesses$")
		cmd.Env = append(os.Environ(), childOf+"="+seed)
		out, err := cmd.Output()
		line, _, _ := strings.Cut(string(out), "\n")
		if err != nil || !strings.HasPrefix(line, "UIDs ") {
			t.Fatalf("the other process: %v\n%s", err, out)
		}
		return line
	}
	if one, other := run("0"), run("0"); one == other {
		t.Errorf("two processes have the same %s", one)
	}
	if one, other := run("7"), run("7"); one != other {
		t.Errorf("with a seed, two processes have %s and %s", one, other)
	}
}
