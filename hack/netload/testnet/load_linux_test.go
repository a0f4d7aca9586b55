package testnet

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"portreeve.io/portreeve/agent/socket"
)

func space(t *testing.T) *Space {
	if os.Geteuid() != 0 {
		t.Skip("needs root: the test makes a network namespace")
	}
	s, err := New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestALoadStandsExactlyAndGoesWhenStopped(t *testing.T) {
	s := space(t)
	p, err := s.Load(Load{TimeWait: 400, Established: 300, Established6: 200, CloseWait: 100, SynSent: 50, Inbound: 30, Destinations: 7})
	if err != nil {
		t.Fatal(err)
	}
	want := socket.States{
		socket.TimeWait: 400, socket.Established: 530, socket.CloseWait: 100,
		socket.FinWait2: 100, socket.SynSent: 50, socket.Listen: 4,
	}
	if err := s.AwaitStates(want); err != nil {
		t.Error(err)
	}
	if err := p.Stop(); err != nil {
		t.Error(err)
	}
	if err := s.AwaitStates(socket.States{socket.TimeWait: 400}); err != nil {
		t.Error(err)
	}
}

func TestALoadWithoutPortsSaysWhatToDo(t *testing.T) {
	s := space(t)
	if err := s.Sysctl("net.ipv4.ip_local_port_range", "40000 40099"); err != nil {
		t.Fatal(err)
	}
	_, err := s.Load(Load{Established: 101, Destinations: 1})
	if err == nil || !strings.Contains(err.Error(), "widen net.ipv4.ip_local_port_range") {
		t.Errorf("error %v, want one that names the range", err)
	}
}

func TestALoadRefusesTheMachinesNamespace(t *testing.T) {
	_, err := Load{Established: 1}.Run(context.Background(), func() { t.Error("it ran") })
	if err == nil || !strings.Contains(err.Error(), "namespace") {
		t.Errorf("error %v, want a refusal", err)
	}
}

func TestChurnLeavesTimeWaitOrNothing(t *testing.T) {
	for name, c := range map[string]struct {
		churn Churn
		holds bool // TIME_WAIT for each connection
	}{
		"closed by the client":             {Churn{Rate: 2000}, true},
		"closed by reset":                  {Churn{Rate: 2000, Reset: true}, false},
		"closed by reset while still held": {Churn{Rate: 2000, Stay: time.Hour, Reset: true}, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := space(t)
			ctx, stop := context.WithCancel(t.Context())
			var count ChurnCount
			var err error
			s.Do(func() {
				count, err = c.churn.Run(ctx, func() { time.AfterFunc(200*time.Millisecond, stop) })
			})
			if err != nil || count.Made < 50 || count.Failed != 0 {
				t.Fatalf("%+v (%v), want about 400 made", count, err)
			}
			want := socket.States{}
			if c.holds {
				want[socket.TimeWait] = uint32(count.Made)
			}
			if err := s.AwaitStates(want); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestChurnCountsConnectsThatFindNoPort(t *testing.T) {
	s := space(t)
	for key, value := range map[string]string{"net.ipv4.ip_local_port_range": "40000 40099", "net.ipv4.tcp_tw_reuse": "0"} {
		if err := s.Sysctl(key, value); err != nil {
			t.Fatal(err)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	var count ChurnCount
	var err error
	s.Do(func() {
		count, err = Churn{Rate: 2000, Stay: time.Hour}.Run(ctx, func() { time.AfterFunc(300*time.Millisecond, stop) })
	})
	if d := cmp.Diff(100, count.Made); d != "" || err != nil || count.Failed == 0 {
		t.Errorf("%+v (%v), want 100 made, and failures", count, err)
	}
}
