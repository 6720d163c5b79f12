package bench

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// Curve is the points of one engine in one run, with what its build was.
type Curve struct {
	Name      string
	Vectors   int
	PerSecond float64 // vectors built a second of processor time; 0: not known
	BytesPer  float64 // resident bytes a vector; 0: not known
	Points    []CurvePoint
}

// CurvePoint is recall against queries a second of processor time.
type CurvePoint struct {
	Ef     int
	Recall float64
	QPS    float64
}

// Rate is queries a second at a recall, between two points by the time of a
// query, which grows evenly with recall. Beyond is true when even the first
// point has more recall: the rate is then at least this. It is 0 when no point
// reaches the recall.
func (c Curve) Rate(recall float64) (qps float64, beyond bool) {
	for i, p := range c.Points {
		if p.Recall < recall {
			continue
		}
		if i == 0 {
			return p.QPS, p.Recall > recall
		}
		before := c.Points[i-1]
		share := (recall - before.Recall) / (p.Recall - before.Recall)
		return 1 / ((1-share)/before.QPS + share/p.QPS), false
	}
	return 0, false
}

// Curves joins builds and points by their names, in the order of the points.
func Curves(builds []Build, points []Point) []Curve {
	var out []Curve
	at := map[string]int{}
	for _, p := range points {
		key := fmt.Sprintf("%s %d", p.Name, p.Vectors)
		i, ok := at[key]
		if !ok {
			i = len(out)
			at[key] = i
			c := Curve{Name: p.Name, Vectors: p.Vectors}
			for _, b := range builds {
				if b.Name != p.Name || b.Vectors != p.Vectors {
					continue
				}
				if c.BytesPer = b.ResidentPer; c.BytesPer == 0 {
					c.BytesPer = b.BytesPer
				}
				if !b.Loaded {
					c.PerSecond = b.PerSecond
				}
			}
			out = append(out, c)
		}
		out[i].Points = append(out[i].Points, CurvePoint{Ef: p.Ef, Recall: p.Recall, QPS: p.QPS})
	}
	return out
}

// columns of the CSV file, which ReadCurves reads again.
var columns = []string{
	"name", "vectors", "dimension", "m", "ef_construction", "threads", "k", "ef", "recall", "qps", "wall_qps", "us", "p50_us", "p99_us",
	"fewer_than_k", "build_vectors_per_second", "build_seconds", "bytes_per_vector", "resident_per_vector",
}

// WriteCSV writes a line for each point, with the build of its engine.
func WriteCSV(w io.Writer, builds []Build, points []Point) error {
	c := csv.NewWriter(w)
	if err := c.Write(columns); err != nil {
		return err
	}
	number := func(v float64) string { return strconv.FormatFloat(v, 'g', 6, 64) }
	for _, p := range points {
		var b Build
		if i := slices.IndexFunc(builds, func(b Build) bool { return b.Name == p.Name && b.Vectors == p.Vectors }); i >= 0 {
			b = builds[i]
		}
		if b.Loaded {
			b.PerSecond, b.Seconds = 0, 0
		}
		if err := c.Write([]string{
			p.Name, strconv.Itoa(p.Vectors), strconv.Itoa(b.Dim), strconv.Itoa(b.M), strconv.Itoa(b.EfConstruction), strconv.Itoa(p.Threads),
			strconv.Itoa(p.K), strconv.Itoa(p.Ef), number(p.Recall), number(p.QPS), number(p.WallQPS), number(p.Micros), number(p.P50), number(p.P99),
			strconv.Itoa(p.Fewer), number(b.PerSecond), number(b.Seconds), number(b.BytesPer), number(b.ResidentPer),
		}); err != nil {
			return err
		}
	}
	c.Flush()
	return c.Error()
}

// ReadCurves reads what was measured before: the CSV file of WriteCSV, or the
// lines that comparison programs of other libraries print:
//
//	NAME M=16 efc=200 n=100000 build 40.7s 2456 vec/s rss/vec 1808 B
//	NAME n=100000 ef=10 recall@10=0.8088 qps=24028 us=41.6 ...
func ReadCurves(r io.Reader) ([]Curve, error) {
	b := bufio.NewReader(io.LimitReader(r, 64<<20))
	first, err := b.Peek(len("name,vectors,"))
	if err == nil && string(first) == "name,vectors," {
		return readCSV(b)
	}
	var out []Curve
	lines := bufio.NewScanner(b)
	for lines.Scan() {
		readLine(&out, lines.Text())
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	return usable(out)
}

func readCSV(r io.Reader) ([]Curve, error) {
	rows, err := csv.NewReader(r).ReadAll()
	if err != nil {
		return nil, err
	}
	if !slices.Equal(rows[0], columns) {
		return nil, fmt.Errorf("its columns are those of another version: %s", strings.Join(rows[0], ","))
	}
	var builds []Build
	var points []Point
	for i, row := range rows[1:] {
		var bad error
		number := func(column string) float64 {
			v, err := strconv.ParseFloat(row[slices.Index(columns, column)], 64)
			bad = errors.Join(bad, err)
			return v
		}
		n := int(number("vectors"))
		builds = append(builds, Build{Name: row[0], Vectors: n, PerSecond: number("build_vectors_per_second"), BytesPer: number("bytes_per_vector"), ResidentPer: number("resident_per_vector")})
		points = append(points, Point{Name: row[0], Vectors: n, Ef: int(number("ef")), Recall: number("recall"), QPS: number("qps")})
		if bad != nil {
			return nil, fmt.Errorf("line %d: %w", i+2, bad)
		}
	}
	return usable(Curves(builds, points))
}

// readLine takes what it knows of a printed line; other lines are somebody
// else's.
func readLine(out *[]Curve, text string) {
	fields := strings.Fields(text)
	if len(fields) == 0 {
		return
	}
	values := map[string]float64{}
	for i, f := range fields {
		if name, value, ok := strings.Cut(f, "="); ok {
			f = name
			if v, err := strconv.ParseFloat(value, 64); err == nil {
				values[f] = v
			}
		} else if i > 0 {
			// "2456 vec/s", and "rss/vec 1808"
			if v, err := strconv.ParseFloat(fields[i-1], 64); err == nil {
				values[f] = v
			}
			if v, err := strconv.ParseFloat(f, 64); err == nil {
				values[fields[i-1]] = v
			}
		}
	}
	n := int(values["n"])
	at := slices.IndexFunc(*out, func(c Curve) bool { return c.Name == fields[0] && c.Vectors == n })
	if at < 0 {
		at = len(*out)
		*out = append(*out, Curve{Name: fields[0], Vectors: n})
	}
	c := &(*out)[at]
	if v := values["vec/s"]; v > 0 {
		c.PerSecond, c.BytesPer = v, values["rss/vec"]
	}
	p := CurvePoint{Ef: int(values["ef"]), QPS: values["qps"]}
	for name, v := range values {
		if strings.HasPrefix(name, "recall@") {
			p.Recall = v
		}
	}
	if p.QPS > 0 && p.Recall > 0 {
		c.Points = append(c.Points, p)
	}
}

// usable leaves out what has no points, and refuses what has nothing else.
func usable(curves []Curve) ([]Curve, error) {
	curves = slices.DeleteFunc(curves, func(c Curve) bool { return len(c.Points) == 0 })
	if len(curves) == 0 {
		return nil, errors.New("there is no measured point in it; give the CSV file of vecino bench, or lines with ef=, recall@10= and qps=")
	}
	return curves, nil
}
