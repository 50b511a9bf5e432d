"""The C of a model whose input arrives row by row."""

from __future__ import annotations

from millijoule.emit.streamed import StreamedProject


class PushedProject(StreamedProject):
    """Between two rows, nothing is kept but the arena; the state in it says which action is next."""

    def places(self) -> str:
        upper, name = self.upper, self.name
        rows, row_bytes = self.rows.count[self.input], self.rows.bytes[self.input]
        return f"""/* The input arrives row by row, from the top down, as a camera gives it; no frame is stored:
 *
 *     for (;;) {{
 *         camera_read_row({name}_input_row());
 *         if ({name}_push_row({name}_input_row()) == 1)
 *             act_on({self.outputs.ends[0].pointer});
 *     }}
 */
#define {upper}_INPUT_ROWS {rows}
#define {upper}_INPUT_ROW_BYTES {row_bytes}

/* Where the next row is to lie in the arena; another place for each row. Writing it there between two calls of
 * {name}_push_row, and passing the pointer, saves a copy. */
int8_t *{name}_input_row(void);

/* Takes the next row, {upper}_INPUT_ROW_BYTES from anywhere, and computes all that can be computed. Returns 1 if this
 * was the last row of an input: the output is there until the next row is taken, which begins the next input. Returns 0
 * if more rows are needed, -1 if the pointer is null. Not reentrant. */
int {name}_push_row(const int8_t *row);

/* Forgets the rows of an unfinished input. Call it before the first row if the arena is yours. */
void {name}_reset(void);

/* Where the output is left. The whole input that {name}_run takes lies outside of the arena. */
{self.outputs.declarations()}"""

    def definitions(self) -> str:
        upper, name = self.upper, self.name
        state = self.plan.places["state", self.input]
        arrivals = [number for number, code in enumerate(self.actions.codes) if code.do == "arrive"]
        fresh = [number for number in arrivals if self.actions.codes[number].fresh]
        whole = f"""    {name}_reset();
    while ({name}_push_row(input) == 0)
        input += {upper}_INPUT_ROW_BYTES;"""
        real = f"""    {name}_reset();
    do {{
        int8_t *row = {name}_input_row();
        for (int32_t i = 0; i < {upper}_INPUT_ROW_BYTES; i++)
            row[i] = {name}_quantize(*input++);
    }} while ({name}_push_row({name}_input_row()) == 0);"""
        is_fresh = f"{name}_actions[STATE->loops.next] == {fresh[0]}" if fresh else "0"
        return f"""{self.output_definitions()}
{self.functions()}
/* What is kept between two rows: the next action is an arrival. */
_Static_assert(sizeof(struct {name}_state) == {state.bytes}, "the state");
#define STATE ((struct {name}_state *)(void *)({self.place(state.offset)}))

int8_t *{name}_input_row(void)
{{
    return mj_ring_row({self.rings[self.input]}, STATE->fired[0], {is_fresh});
}}

void {name}_reset(void)
{{
    memset(STATE, 0, sizeof *STATE);
}}

int {name}_push_row(const int8_t *row)
{{
    if (row == NULL)
        return -1;
    if (row != {name}_input_row())
        memcpy({name}_input_row(), row, {upper}_INPUT_ROW_BYTES);
    do {{
        {name}_act(STATE);
    }} while (STATE->loops.next < ACTIONS && {name}_actions[STATE->loops.next] > {arrivals[-1]});
    if (STATE->loops.next < ACTIONS)
        return 0;
    {name}_reset();
    return 1;
}}

{self.runs(whole, real)}"""
