// SPDX-License-Identifier: Apache-2.0
// What the last act did to the list, in one sentence that is also read out.
import { describe } from "./diff";
import { count, duration, plural } from "./format";
import { BoltIcon } from "./icons";
import type { Act } from "./session";

const names: Record<Act["type"], string> = { click: "click", view: "view", like: "like", dislike: "dislike", hide: "wish" };

function Lead({ act }: { act: Act }) {
    if (!act.ack) return <><strong><em>{act.item.title}</em> is hidden</strong> for this visit, nothing was learnt from it: </>;
    if (act.ack.duplicates > 0) return <><strong>That was known already</strong>: </>;
    return (
        <>
            <strong>Your {names[act.type]} was reflected in {duration(act.ack.applied_us)}</strong>: <em>{act.item.title}</em>,{" "}
        </>
    );
}

export function Reflection({ act }: { act: Act | null }) {
    const isPositive = act !== null && act.type !== "dislike" && act.type !== "hide";
    return (
        <div class={`reflection${act ? " on" : ""}`} role="status" aria-live="polite" aria-atomic="true">
            {!act && <p>Open, like or dislike a title: the very next answer reflects it.</p>}
            {act && (
                <>
                    <BoltIcon />
                    <p>
                        <Lead act={act} />
                        {describe(act.diff)}
                        {isPositive && act.caused > 0 && <>; {plural(act.caused, "title")} here mainly because of it</>}.
                        {act.ack && (
                            <small>
                                on disk after {duration(act.ack.durable_us)}, learnt at position {count(act.ack.position)},{" "}
                                {act.isIncluded ? "part of this answer" : "not yet part of this answer"}
                            </small>
                        )}
                    </p>
                </>
            )}
        </div>
    );
}
