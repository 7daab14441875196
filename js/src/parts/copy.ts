/** Text onto the clipboard, also where the page has no clipboard of its own (plain http, old hosts, a frame without the right). */

/** Whether it worked. `near` is an element of the page beside which a field may stand for a moment. */
export async function copyText(text: string, near: HTMLElement): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return byHand(text, near);
  }
}

function byHand(text: string, near: HTMLElement): boolean {
  const doc = near.ownerDocument;
  const field = doc.createElement("textarea");
  field.className = "vf-sr";
  field.value = text;
  field.setAttribute("aria-hidden", "true");
  near.append(field);
  field.select();
  try {
    return doc.execCommand("copy");
  } catch {
    return false;
  } finally {
    field.remove();
    near.focus();
  }
}
