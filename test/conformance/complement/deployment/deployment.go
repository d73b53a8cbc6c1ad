// Package deployment gives Complement homeservers that are plain local processes: the runner beside it (run.ts) starts and
// stops them, and is asked to through its control interface.
package deployment

import (
	"fmt"
	"net/http"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/matrix-org/complement"
	"github.com/matrix-org/complement/client"
	"github.com/matrix-org/complement/config"
	"github.com/matrix-org/complement/ct"
	"github.com/matrix-org/complement/helpers"
	"github.com/matrix-org/gomatrixserverlib"
	"github.com/matrix-org/gomatrixserverlib/spec"
)

const (
	defaultPassword  = "complement_meets_min_password_req"
	syncUntilTimeout = 5 * time.Second
)

// Main runs the tests of one of Complement's packages; it is to be called from the package's TestMain.
func Main(m *testing.M, namespace string) {
	deploy := func(t ct.TestLike, servers int, cfg *config.Complement) complement.Deployment {
		t.Helper()
		d := &localProcesses{cfg: cfg}
		if err := ask(http.MethodPost, "/deployments", map[string]int{"servers": servers}, d); err != nil {
			ct.Fatalf(t, "no homeservers: %s", err)
		}
		return d
	}
	complement.TestMain(m, namespace, complement.WithDeployment(deploy))
}

// server is a homeserver as the control interface describes it.
type server struct {
	ClientURL string `json:"client_url"`
}

// localProcesses is a deployment: homeservers called hs1, hs2 and so on.
type localProcesses struct {
	ID      string            `json:"id"`
	Servers map[string]server `json:"servers"`
	cfg     *config.Complement
}

var _ complement.Deployment = (*localProcesses)(nil)

// users counts those that were registered: homeservers may be shared between tests, so no name is taken twice.
var users atomic.Int64

func (d *localProcesses) client(t ct.TestLike, hsName, password string) *client.CSAPI {
	t.Helper()
	hs, ok := d.Servers[hsName]
	if !ok {
		ct.Fatalf(t, "there is no homeserver %s", hsName)
	}
	return client.NewCSAPI(client.CSAPIOpts{
		BaseURL:          hs.ClientURL,
		Client:           client.NewLoggedClient(t, hsName, nil),
		SyncUntilTimeout: syncUntilTimeout,
		Debug:            d.cfg.DebugLoggingEnabled,
		Password:         password,
	})
}

// GetFullyQualifiedHomeserverName returns the server name, which is the short one.
func (d *localProcesses) GetFullyQualifiedHomeserverName(_ ct.TestLike, hsName string) spec.ServerName {
	return spec.ServerName(hsName)
}

// UnauthenticatedClient returns a client that has no account.
func (d *localProcesses) UnauthenticatedClient(t ct.TestLike, hsName string) *client.CSAPI {
	return d.client(t, hsName, "")
}

// Register makes an account, an administrator's if that is asked for, and returns a client that is signed in to it.
func (d *localProcesses) Register(t ct.TestLike, hsName string, opts helpers.RegistrationOpts) *client.CSAPI {
	t.Helper()
	password := opts.Password
	if password == "" {
		password = defaultPassword
	}
	localpart := fmt.Sprintf("user-%d", users.Add(1))
	if opts.LocalpartSuffix != "" {
		localpart += "-" + opts.LocalpartSuffix
	}
	c := d.client(t, hsName, password)
	if opts.IsAdmin {
		c.UserID, c.AccessToken, c.DeviceID = c.RegisterSharedSecret(t, localpart, password, true)
	} else {
		c.UserID, c.AccessToken, c.DeviceID = c.RegisterUser(t, localpart, password)
	}
	return c
}

// Login signs in to the account of existing, as the device that opts name or as a new one.
func (d *localProcesses) Login(t ct.TestLike, hsName string, existing *client.CSAPI, opts helpers.LoginOpts) *client.CSAPI {
	t.Helper()
	localpart, _, err := gomatrixserverlib.SplitID('@', existing.UserID)
	if err != nil {
		ct.Fatalf(t, "%s is no user ID: %s", existing.UserID, err)
	}
	password := existing.Password
	if opts.Password != "" {
		password = opts.Password
	}
	var login []client.LoginOpt
	if opts.DeviceID != "" {
		login = append(login, client.WithDeviceID(opts.DeviceID))
	}
	c := d.client(t, hsName, password)
	c.UserID, c.AccessToken, c.DeviceID = c.LoginUser(t, localpart, password, login...)
	return c
}

// AppServiceUser fails the test: no application service is registered with these homeservers.
func (d *localProcesses) AppServiceUser(t ct.TestLike, _, _ string) *client.CSAPI {
	t.Helper()
	ct.Fatalf(t, "these homeservers have no application services")
	return nil
}

func (d *localProcesses) path(rest string) string {
	return "/deployments/" + url.PathEscape(d.ID) + rest
}

// Restart stops all homeservers of the deployment and starts them again.
func (d *localProcesses) Restart(ct.TestLike) error {
	return ask(http.MethodPost, d.path("/restart"), nil, nil)
}

func (d *localProcesses) tell(t ct.TestLike, hsName, verb string) {
	t.Helper()
	if err := ask(http.MethodPost, d.path("/servers/"+url.PathEscape(hsName)+"/"+verb), nil, nil); err != nil {
		ct.Fatalf(t, "%s", err)
	}
}

// StopServer ends a homeserver's process.
func (d *localProcesses) StopServer(t ct.TestLike, hsName string) { d.tell(t, hsName, "stop") }

// StartServer starts one that was stopped.
func (d *localProcesses) StartServer(t ct.TestLike, hsName string) { d.tell(t, hsName, "start") }

// PauseServer suspends a homeserver's process.
func (d *localProcesses) PauseServer(t ct.TestLike, hsName string) { d.tell(t, hsName, "pause") }

// UnpauseServer lets one that was suspended go on.
func (d *localProcesses) UnpauseServer(t ct.TestLike, hsName string) { d.tell(t, hsName, "unpause") }

// ContainerID fails the test: there are no containers.
func (d *localProcesses) ContainerID(t ct.TestLike, _ string) string {
	t.Helper()
	ct.Fatalf(t, "these homeservers are no containers")
	return ""
}

// Destroy ends the deployment; the runner may keep its homeservers for the next test.
func (d *localProcesses) Destroy(t ct.TestLike) {
	t.Helper()
	if err := ask(http.MethodDelete, d.path(""), nil, nil); err != nil {
		t.Logf("the deployment was not ended: %s", err)
	}
}

// GetConfig returns the suite's settings.
func (d *localProcesses) GetConfig() *config.Complement { return d.cfg }

// RoundTripper reaches no homeserver: none of them listens for others yet.
func (d *localProcesses) RoundTripper() http.RoundTripper { return noFederation{} }

// Network is empty: there are no containers to attach to one.
func (d *localProcesses) Network() string { return "" }

type noFederation struct{}

func (noFederation) RoundTrip(request *http.Request) (*http.Response, error) {
	return nil, fmt.Errorf("%s does not listen for other servers", request.URL.Hostname())
}
