/* report.js -- values under the pointer, in all charts of the same steps at once.  What is shown is read from the curves as they are drawn. */
{
    const SIZE = 10000;
    const range = (svg, name) => svg.dataset[name].split(" ").map(Number);
    const number = x => x.toLocaleString("en", Math.abs(x) >= 1000 ? { maximumFractionDigits: 0 } : { maximumSignificantDigits: 4 });
    const charts = [...document.querySelectorAll("svg.chart")].map(svg => {
        const figure = svg.parentNode, cursor = document.createElementNS(svg.namespaceURI, "line"), title = document.createElement("output");
        const curves = [...svg.querySelectorAll("[data-key]")].map(line => {
            const value = document.createElement("output");
            figure.querySelector(`span[data-key="${line.dataset.key}"]`).append(value);
            return { points: [...line.points].map(p => [p.x, p.y]), value };
        });
        cursor.setAttribute("class", "cursor");
        cursor.setAttribute("y2", "100%");
        cursor.setAttribute("visibility", "hidden");
        svg.append(cursor);
        figure.querySelector("b").append(title);
        return { svg, x: range(svg, "x"), y: range(svg, "y"), log: "log" in svg.dataset, curves, cursor, title };
    });

    const value_of = ({ y: [from, to], log }, place) => {
        const at = 1 - place / SIZE;
        return log ? from * (to / from) ** at : from + at * (to - from);
    };
    const nearest = (points, x) => points.reduce((best, p) => Math.abs(p[0] - x) < Math.abs(best[0] - x) ? p : best);

    const show = step => {
        for (const chart of charts) {
            const [from, to] = chart.x, at = (step - from) / (to - from), inside = at >= 0 && at <= 1;
            chart.cursor.setAttribute("visibility", inside ? "visible" : "hidden");
            for (const name of ["x1", "x2"]) chart.cursor.setAttribute(name, `${100 * at}%`);
            chart.title.textContent = inside ? `at ${number(Math.round(step))}` : "";
            for (const curve of chart.curves) curve.value.textContent = inside ? number(value_of(chart, nearest(curve.points, at * SIZE)[1])) : "";
        }
    };
    for (const { svg, x: [from, to] } of charts) {
        svg.addEventListener("pointermove", e => {
            const box = svg.getBoundingClientRect();
            show(from + (e.clientX - box.left) / box.width * (to - from));
        });
        svg.addEventListener("pointerleave", () => show(NaN));
    }
}
