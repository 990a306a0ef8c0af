// Tables of many rows are sorted by a click on a column's name and filtered by a word; without this script all is there.
for (const table of document.querySelectorAll("table.long")) {
  const body = table.tBodies[0], rows = [...body.rows];
  const value = (row, i) => { const text = row.cells[i].textContent, number = parseFloat(text);
    return isNaN(number) ? text : number; };
  [...table.tHead.rows[0].cells].forEach((head, i) => {
    const button = document.createElement("button");
    button.type = "button"; button.textContent = head.textContent; head.replaceChildren(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const sign = down ? -1 : 1;
      rows.sort((a, b) => { const x = value(a, i), y = value(b, i);
        return sign * (typeof x === typeof y ? (x > y) - (x < y) : typeof x === "number" ? -1 : 1); });
      body.append(...rows);
    });
  });
  const label = document.createElement("label"), input = document.createElement("input");
  label.className = "filter"; label.textContent = "Only rows with "; input.type = "search"; label.append(input);
  input.addEventListener("input", () => { const word = input.value.toLowerCase();
    for (const row of rows) row.hidden = !row.textContent.toLowerCase().includes(word); });
  table.closest(".scroll").before(label);
}
