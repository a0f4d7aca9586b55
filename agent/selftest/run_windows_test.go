package selftest

import (
	"errors"
	"testing"

	"golang.org/x/sys/windows/registry"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/internal/ports"
)

// Under Wine the sockets are Linux's. This test shows that the checks are run and
// evaluated, not how Windows assigns ports.
func TestAllChecksHaveAResult(t *testing.T) {
	s := socket.Sample{Networks: []socket.Network{{
		Owner: socket.Owner{Kind: socket.OwnerHost}, Settings: socket.Settings{Range: ports.Range{First: 1024, Last: 65535}},
	}}}
	got := map[string]Check{}
	for _, c := range Run(t.Context(), &s, Options{Write: true}) {
		if _, twice := got[c.Name]; twice || c.Finding == "" {
			t.Errorf("%+v", c)
		}
		got[c.Name] = c
	}
	for _, name := range []string{"Privileges", "PortsComeFromTheRange", "TablesShowConnections", "TablesShowTimeWait", "RegistryRoundTrip"} {
		if c := got[name]; c.State != socket.CapabilityVerified {
			t.Errorf("%s is %s: %s", name, c.State, c.Finding)
		}
	}
	for _, name := range []string{"Compartment", "ConnectReusesPorts", "BoundPortsAreExclusive", "TablesShowOwners",
		"TablesShowBoundSockets", "FamiliesShareBinds", "FamiliesHaveOneRange", "MaxUserPort", "TimeWaitLength"} {
		if _, ok := got[name]; !ok {
			t.Errorf("%s was not checked", name)
		}
	}
	if key, err := registry.OpenKey(registry.LOCAL_MACHINE, testKey, registry.QUERY_VALUE); !errors.Is(err, registry.ErrNotExist) {
		t.Errorf("the key still exists: %v, %v", key, err)
	}
}

func TestWithoutARangeNoConnectionIsMade(t *testing.T) {
	if got := checkConnections(&socket.Sample{}); len(got) != 1 || got[0].State != socket.CapabilityUnsupported {
		t.Errorf("%+v", got)
	}
}
