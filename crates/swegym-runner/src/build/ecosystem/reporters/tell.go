// Reads what `go test -json` prints: prints again what `go test -v` would have printed, and
// writes the results as JUnit XML to the file that SWEGYM_RESULTS names.
package main

import (
	"bufio"
	"encoding/json"
	"encoding/xml"
	"os"
	"strings"
)

// Characters of a failure that are told.
const longest = 16 << 10

type event struct {
	Action, Package, Test, Output string
	Elapsed                       float64
}

type failure struct {
	Message string `xml:"message,attr"`
}

type testcase struct {
	Classname string    `xml:"classname,attr"`
	Name      string    `xml:"name,attr"`
	Time      float64   `xml:"time,attr"`
	Failure   *failure  `xml:"failure"`
	Error     *failure  `xml:"error"`
	Skipped   *struct{} `xml:"skipped"`
}

// A test that has begun: `run` until it is over.
type test struct {
	place, name, status string
	seconds             float64
	said                strings.Builder
}

func main() {
	tests := map[[2]string]*test{}
	order := []*test{}
	// Packages run side by side; each is printed when it is through, as `go test -v` does.
	waiting := map[string]*strings.Builder{}
	packages := []string{}
	out := bufio.NewWriter(os.Stdout)
	in := bufio.NewReader(os.Stdin)
	for {
		line, err := in.ReadString('\n')
		if line != "" {
			var e event
			if json.Unmarshal([]byte(line), &e) != nil || e.Action == "" {
				// What is no event was printed by something else.
				out.WriteString(line)
			} else {
				held := waiting[e.Package]
				if held == nil {
					held = &strings.Builder{}
					waiting[e.Package] = held
					packages = append(packages, e.Package)
				}
				held.WriteString(e.Output)
				if e.Test == "" && (e.Action == "pass" || e.Action == "fail" || e.Action == "skip") {
					out.WriteString(held.String())
					held.Reset()
				}
				if e.Test != "" {
					key := [2]string{e.Package, e.Test}
					one := tests[key]
					if one == nil {
						one = &test{place: e.Package, name: e.Test, status: "run"}
						tests[key] = one
						order = append(order, one)
					}
					one.note(e)
				}
			}
		}
		if err != nil {
			break
		}
	}
	for _, name := range packages {
		out.WriteString(waiting[name].String())
	}
	out.Flush()
	if place := os.Getenv("SWEGYM_RESULTS"); place != "" {
		write(place, order)
	}
}

func (t *test) note(e event) {
	switch e.Action {
	case "output":
		if t.said.Len() < longest {
			t.said.WriteString(e.Output)
		}
	case "pass", "fail", "skip":
		// A test that is run again counts as it did at its worst.
		if t.status != "fail" {
			t.status = e.Action
		}
		if e.Elapsed > t.seconds {
			t.seconds = e.Elapsed
		}
	}
}

func write(place string, order []*test) {
	cases := []testcase{}
	for _, one := range order {
		c := testcase{Classname: one.place, Name: one.name, Time: one.seconds}
		switch one.status {
		case "fail":
			c.Failure = &failure{one.said.String()}
		case "skip":
			c.Skipped = &struct{}{}
		case "run":
			// A panic elsewhere, or the process ended: nobody told its end.
			c.Error = &failure{"not over when the tests ended"}
		}
		cases = append(cases, c)
	}
	suites := struct {
		XMLName xml.Name `xml:"testsuites"`
		Suite   struct {
			Name  string     `xml:"name,attr"`
			Cases []testcase `xml:"testcase"`
		} `xml:"testsuite"`
	}{}
	suites.Suite.Name, suites.Suite.Cases = "swegym", cases
	text, err := xml.MarshalIndent(suites, "", " ")
	if err == nil {
		err = os.WriteFile(place, append([]byte(xml.Header), text...), 0o644)
	}
	if err != nil {
		os.Stderr.WriteString("swegym: " + err.Error() + "\n")
		os.Exit(3)
	}
}
