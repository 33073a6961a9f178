package store

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// fullDisk is what a child that fills its disk is given.
type fullDisk struct {
	URL, Token, Org, Bucket, Run string
	Seconds                      int
}

// beFiller streams seconds by way of a disk of 128 KiB, tells what became of those
// that it could not keep, and once InfluxDB is there, of all.
func beFiller(dir string) {
	var arg fullDisk
	err := json.Unmarshal([]byte(os.Getenv("STORE_TEST_INFLUX")), &arg)
	if err == nil {
		err = syscall.Mount("none", dir, "tmpfs", 0, "size=128k")
	}
	if err != nil {
		fmt.Println("no disk:", err)
		os.Exit(0)
	}
	run := someRun()
	run.ID = arg.Run
	s, err := NewStream(Influx{URL: arg.URL, Token: arg.Token, Org: arg.Org, Bucket: arg.Bucket}, filepath.Join(dir, "s"), run)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	failed := 0
	for i := range arg.Seconds {
		if s.Append(second(run.ID, i)) != nil {
			failed++
		}
	}
	fmt.Println(failed)
	_, _ = fmt.Scanln() // InfluxDB is there
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	sent, err := s.Close(ctx)
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(sent)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}

// TestFullDisk: what does not fit on it is counted as lost, and all that does fit
// arrives, once.
func TestFullDisk(t *testing.T) {
	to, run := realInflux(t)
	g := newGate(t, to)
	through := g.do.Load()
	g.do.Store(deed(unheard))
	given, err := json.Marshal(fullDisk{g.URL, to.Token, to.Org, to.Bucket, run.ID, 1000})
	require.NoError(t, err)
	cmd := child("filler", t.TempDir())
	cmd.Env = append(cmd.Env, "STORE_TEST_INFLUX="+string(given))
	cmd.SysProcAttr = &syscall.SysProcAttr{ // as root of its own, so that it may mount
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	if err := cmd.Start(); err != nil {
		t.Skipf("a full disk is not tested: this machine allows no namespaces: %v", err)
	}
	said := bufio.NewScanner(out)
	require.True(t, said.Scan())
	var failed int
	if _, err := fmt.Sscan(said.Text(), &failed); err != nil {
		require.NoError(t, cmd.Wait())
		t.Skip("a full disk is not tested: " + said.Text())
	}
	require.Greater(t, failed, 500)
	require.Less(t, failed, 990)
	g.do.Store(through)
	_, err = fmt.Fprintln(in)
	require.NoError(t, err)
	require.True(t, said.Scan())
	var sent Sent
	require.NoError(t, json.Unmarshal(said.Bytes(), &sent))
	require.NoError(t, cmd.Wait())
	kept := 1000 - failed
	require.Equal(t, Sent{Written: int64(kept) * pointsOfSecond, Lost: int64(failed) * pointsOfSecond, Reason: sent.Reason, Loss: sent.Loss}, sent)
	require.Contains(t, sent.Loss, "no space left on device")
	requireSeconds(t, to, run.ID, kept)
}
