package deployment

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
)

// controlURL names the environment variable that holds the base URL of the control interface (see control.ts).
const controlURL = "CONFORMANCE_CONTROL_URL"

// answerLimit is the most of an answer that is read, in bytes.
const answerLimit = 1 << 20

// ask sends a request to the control interface and decodes its answer into out, unless that is nil.
func ask(method, path string, body, out any) error {
	base := os.Getenv(controlURL)
	if base == "" {
		return fmt.Errorf("%s is not set: run the suite through `npm run conformance`", controlURL)
	}
	encoded, err := json.Marshal(body)
	if err != nil {
		return err
	}
	request, err := http.NewRequest(method, base+path, bytes.NewReader(encoded))
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, answerLimit))
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %d %s", method, path, response.StatusCode, answer)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(answer, out)
}
