/** The page's words in Chinese, by their English; one table per part of the page. */
export const CHINESE: Readonly<Record<string, string>> = {};
